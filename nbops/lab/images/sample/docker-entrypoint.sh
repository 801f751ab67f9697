#!/bin/sh
# Starts the sample app as the NocoBase image starts NocoBase.
cd /app/nocobase && exec node server.js --quickstart

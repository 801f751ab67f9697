"""The list of the domain actions, for the catalog."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nbops.actions.api import Action
from nbops.nocobase.steps.accept import Accept
from nbops.nocobase.steps.adopt import Adopt
from nbops.nocobase.steps.backup import DatabaseBackup
from nbops.nocobase.steps.backup_check import DatabaseCheck
from nbops.nocobase.steps.backup_copy import BackupFetch, BackupStore
from nbops.nocobase.steps.backup_files import BackupFiles, Prune, RedisBackup
from nbops.nocobase.steps.balancer import (
    BalancerConfigure,
    BalancerDrain,
    BalancerLook,
    BalancerMaintenance,
    BalancerUndrain,
    BalancerVerify,
)
from nbops.nocobase.steps.bootstrap import Bootstrap
from nbops.nocobase.steps.change import Leave, PlanChange
from nbops.nocobase.steps.cluster_proof import ProveCluster
from nbops.nocobase.steps.database import DatabaseCreate, DatabaseServer
from nbops.nocobase.steps.kept import Settings
from nbops.nocobase.steps.log import KeepLog
from nbops.nocobase.steps.new import NewNodes
from nbops.nocobase.steps.node import Configure, PullNode
from nbops.nocobase.steps.plugin_switch import SwitchPlugins
from nbops.nocobase.steps.plugins import PutPlugins
from nbops.nocobase.steps.preflight import Preflight
from nbops.nocobase.steps.redis import RedisClear, RedisServer, RedisStart, RedisStop
from nbops.nocobase.steps.release import ReleaseRecord
from nbops.nocobase.steps.restore import DatabaseRestore
from nbops.nocobase.steps.restore_files import RestoreFiles
from nbops.nocobase.steps.sign_in import SignIn
from nbops.nocobase.steps.start import StartNode
from nbops.nocobase.steps.stop import Autostart, StopNode
from nbops.nocobase.steps.storage import ProveStorage
from nbops.nocobase.steps.swap import DatabaseDrop, DatabaseKept, DatabaseOpen, DatabaseSwap
from nbops.nocobase.steps.verify import Verify
from nbops.nocobase.steps.wait import WaitNode

NOCOBASE_ACTIONS: Sequence[Action[Any]] = (
    Preflight(),
    ReleaseRecord(),
    PlanChange(),
    Leave(),
    Settings(),
    NewNodes(),
    DatabaseServer(),
    DatabaseCreate(),
    DatabaseCheck(),
    DatabaseBackup(),
    BackupFiles(),
    RedisBackup(),
    BackupFetch(),
    BackupStore(),
    Prune(),
    DatabaseRestore(),
    RestoreFiles(),
    DatabaseSwap(),
    DatabaseOpen(),
    DatabaseKept(),
    DatabaseDrop(),
    RedisServer(),
    RedisStop(),
    RedisStart(),
    RedisClear(),
    Bootstrap(),
    PutPlugins(),
    SwitchPlugins(),
    Adopt(),
    Configure(),
    PullNode(),
    StartNode(),
    WaitNode(),
    Autostart(),
    StopNode(),
    KeepLog(),
    Accept(),
    BalancerConfigure(),
    BalancerDrain(),
    BalancerUndrain(),
    BalancerMaintenance(),
    BalancerVerify(),
    BalancerLook(),
    Verify(),
    SignIn(),
    ProveCluster(),
    ProveStorage(),
)

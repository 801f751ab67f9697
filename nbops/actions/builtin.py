"""The general actions: the list that a registry is made from."""

from __future__ import annotations

from typing import Any

from nbops.actions.api import Action
from nbops.actions.apt import AptAction, PackageAction
from nbops.actions.assertion import AssertAction
from nbops.actions.command import CommandAction, ShellAction
from nbops.actions.copy import CopyAction
from nbops.actions.debug import DebugAction
from nbops.actions.fail import FailAction
from nbops.actions.fetch import FetchAction
from nbops.actions.file import FileAction
from nbops.actions.get_url import GetUrlAction
from nbops.actions.include_tasks import IncludeTasksAction
from nbops.actions.lineinfile import LineinfileAction
from nbops.actions.meta import MetaAction
from nbops.actions.pause import PauseAction
from nbops.actions.ping import PingAction
from nbops.actions.raw import RawAction
from nbops.actions.script import ScriptAction
from nbops.actions.set_fact import SetFactAction
from nbops.actions.setup import SetupAction
from nbops.actions.slurp import SlurpAction
from nbops.actions.stat import StatAction
from nbops.actions.systemd import ServiceAction, SystemdAction
from nbops.actions.template import TemplateAction
from nbops.actions.uri import UriAction
from nbops.actions.user import UserAction
from nbops.actions.wait_for import WaitForAction
from nbops.actions.wait_for_connection import WaitForConnectionAction

BUILTIN: tuple[Action[Any], ...] = (
    CommandAction(),
    ShellAction(),
    RawAction(),
    ScriptAction(),
    CopyAction(),
    TemplateAction(),
    FileAction(),
    StatAction(),
    FetchAction(),
    SlurpAction(),
    LineinfileAction(),
    GetUrlAction(),
    UriAction(),
    WaitForAction(),
    WaitForConnectionAction(),
    ServiceAction(),
    SystemdAction(),
    PackageAction(),
    AptAction(),
    UserAction(),
    AssertAction(),
    FailAction(),
    DebugAction(),
    SetFactAction(),
    PauseAction(),
    PingAction(),
    SetupAction(),
    MetaAction(),
    IncludeTasksAction(),
)

"""The settings: from an INI file and the environment to frozen, typed values."""

from __future__ import annotations

from chatapp.settings.load import Settings, load_settings
from chatapp.settings.sections import (
    App,
    Auth,
    Cluster,
    Events,
    History,
    Limits,
    Log,
    MessageTypes,
    Section,
    Storage,
    Web,
)
from chatapp.settings.values import MIN_SECRET_CHARACTERS, RESERVED_EVENTS

__all__ = [
    "MIN_SECRET_CHARACTERS",
    "RESERVED_EVENTS",
    "App",
    "Auth",
    "Cluster",
    "Events",
    "History",
    "Limits",
    "Log",
    "MessageTypes",
    "Section",
    "Settings",
    "Storage",
    "Web",
    "load_settings",
]

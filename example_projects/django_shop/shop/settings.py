"""The settings. DATABASE_URL and CELERY_BROKER_URL name servers; without them none is needed."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

BASE_DIR = Path(__file__).parent.parent
VAR = BASE_DIR / "var"
VAR.mkdir(exist_ok=True)

# --- obswriter ----------------------------------------------------------------------------------

INSTALLED_APPS = ["obswriter_django", "store"]
MIDDLEWARE = [
    "obswriter_django.ObservabilityMiddleware",
    "django.middleware.common.CommonMiddleware",
]
OBSWRITER = {"FILE_STORAGE": BASE_DIR, "PROJECT_ID": "shop"}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "console": {"class": "logging.StreamHandler", "level": "WARNING"},
        "obswriter": {"class": "obswriter_logging.ObservabilityHandler"},
    },
    "root": {"handlers": ["console", "obswriter"], "level": "INFO"},
}

# --- Django -------------------------------------------------------------------------------------

SECRET_KEY = "only-for-this-example"
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True


def database(url: str) -> dict[str, Any]:
    """Read ``postgresql://user:password@host:port/name``; without it, SQLite."""
    if not url:
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": VAR / "db.sqlite3"}
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path[1:]),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": parts.port or "",
    }


DATABASES = {"default": database(os.environ.get("DATABASE_URL", ""))}

# --- Celery -------------------------------------------------------------------------------------

CELERY_BROKER_URL = os.environ.get("CELERY_BROKER_URL", "filesystem://localhost")
CELERY_TASK_DEFAULT_QUEUE = os.environ.get("SHOP_QUEUE", "shop")
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
if CELERY_BROKER_URL.startswith("filesystem:"):
    MESSAGES = VAR / "messages"
    MESSAGES.mkdir(exist_ok=True)
    CELERY_BROKER_TRANSPORT = "obswriter.cli.demo.broker:Transport"
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(MESSAGES),
        "data_folder_out": str(MESSAGES),
        "control_folder": str(VAR / "control"),
        "processed_folder": str(VAR / "processed"),
        "polling_interval": 0.05,
    }

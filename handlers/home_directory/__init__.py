"""Home directories."""

from handlers.home_directory.handler import HomeDirectory, build
from handlers.home_directory.settings import Params, Settings

__all__ = ["HomeDirectory", "Params", "Settings", "build"]

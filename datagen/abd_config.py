"""What ABD problems may be told: where the programs come from, how they are written, and limits."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from datagen.programs.levels import LEVELS, Knobs
from reward_fns.sandbox import Limits

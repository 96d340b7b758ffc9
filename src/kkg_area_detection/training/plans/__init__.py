"""Floor plans drawn by a program, with every segment known: no real drawing is needed to train a network."""

from kkg_area_detection.training.plans.generate import generate_plan, generate_plans
from kkg_area_detection.training.plans.look import STYLES

__all__ = ["STYLES", "generate_plan", "generate_plans"]

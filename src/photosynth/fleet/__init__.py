"""The fleet file: what an operator has, read with exact quantities, and every mistake with its file, line and column."""

from photosynth.fleet.fleet import Clock, Console, Fleet, LedgerPolicy, MiningSite, Party
from photosynth.fleet.load import load_fleet, parse_fleet
from photosynth.fleet.machines import Group, Habit, MachineSpec, Model
from photosynth.fleet.market import DemandCharge, ExportTerms, MarketingFee, MarketPart, Premium, PriceComponent
from photosynth.fleet.node import Credentials, Demonstration, Node, NodeHabit
from photosynth.fleet.pool import Pool
from photosynth.fleet.problems import FleetFileError, Problem
from photosynth.fleet.site import Grid, Load, Meter, Simulation, Site
from photosynth.fleet.sources import SourcePart
from photosynth.fleet.wallet import Wallet
from photosynth.settings.values import Address

__all__ = [
    "Address",
    "Clock",
    "Console",
    "Credentials",
    "DemandCharge",
    "Demonstration",
    "ExportTerms",
    "Fleet",
    "FleetFileError",
    "Grid",
    "Group",
    "Habit",
    "LedgerPolicy",
    "Load",
    "MachineSpec",
    "MarketPart",
    "MarketingFee",
    "Meter",
    "MiningSite",
    "Model",
    "Node",
    "NodeHabit",
    "Party",
    "Pool",
    "Premium",
    "PriceComponent",
    "Problem",
    "Simulation",
    "Site",
    "SourcePart",
    "Wallet",
    "load_fleet",
    "parse_fleet",
]

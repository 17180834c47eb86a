"""The fleet file: what a site consists of, read with exact quantities, and every mistake with its line and column."""

from photosynth.fleet.bitcoin import Bitcoin, Console, Demonstration, NodeChoice, Pool
from photosynth.fleet.fleet import Fleet, LedgerPolicy
from photosynth.fleet.load import load_fleet, parse_fleet
from photosynth.fleet.machines import Group, Habit, MachineSpec, Model
from photosynth.fleet.market import DemandCharge, ExportTerms, Market, MarketingFee, Premium, PriceComponent
from photosynth.fleet.model import Grid, Load, Meter, Party, Simulation, Site, Source
from photosynth.fleet.problems import FleetFileError, Problem
from photosynth.fleet.values import Address

__all__ = [
    "Address",
    "Bitcoin",
    "Console",
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
    "Market",
    "MarketingFee",
    "Meter",
    "Model",
    "NodeChoice",
    "Party",
    "Pool",
    "Premium",
    "PriceComponent",
    "Problem",
    "Simulation",
    "Site",
    "Source",
    "load_fleet",
    "parse_fleet",
]

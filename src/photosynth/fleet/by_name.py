"""A part of a fleet file of which a name says what else may be written in it: the settings of the driver of that name.

The part that is read is an instance of both: of what every part of its kind has, and of the driver's settings.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, GetCoreSchemaHandler, ValidationError, ValidationInfo, create_model
from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError, core_schema

from photosynth.drivers import Driver
from photosynth.fleet.plain import did_you_mean
from photosynth.registry import Registry, RegistryError, words_of
from photosynth.settings.part import Part
from photosynth.settings.units import mistake, shown


class ByName:
    """Marks a part whose ``key`` names a driver of a registry; ``default`` is the name where none is written."""

    def __init__(self, key: str, what: str, registry: Registry[Any], default: str | None = None) -> None:
        self.key, self.what, self.registry, self.default = key, what, registry, default
        self._base: type[Part] = Part
        self._parts: dict[tuple[str, type[Part]], type[Part]] = {}

    def __get_pydantic_core_schema__(self, source: type[Part], handler: GetCoreSchemaHandler) -> CoreSchema:
        """How pydantic reads such a part."""
        self._base = source
        return core_schema.with_info_plain_validator_function(self._read)

    def parts(self) -> Iterator[tuple[str, type[Part]]]:
        """The part of each driver that can be used, by its name."""
        for driver in self.registry.usable():
            try:
                yield driver.name, self._part(driver)
            except RegistryError:
                continue

    def part_of(self, value: object) -> type[Part] | None:
        """The part that a value in the file is read as; None where that cannot be told."""
        name = value.get(self.key, self.default) if isinstance(value, Mapping) else None
        try:
            driver = self.registry.get(name) if isinstance(name, str) else None
            return None if driver is None else self._part(driver)
        except RegistryError:
            return None

    def _read(self, value: object, info: ValidationInfo) -> Part:
        if isinstance(value, self._base):
            return value
        if not isinstance(value, Mapping):
            raise PydanticKnownError("model_type", {"class_name": self._base.__name__})
        name = value.get(self.key, self.default)
        if name is None:
            missing = {"type": "missing", "loc": (self.key,), "input": value}
            raise ValidationError.from_exception_data(self._base.__name__, [missing])  # type: ignore[list-item]
        driver = self._driver(name)
        try:
            found = self._part(driver).model_validate(value, context=info.context)
            if isinstance(found, self._part(driver)):
                changed = self._changed(found, {self.key: name, **value}, info.context)
                if changed is None:
                    return found
                what = f"the settings of {shown(name)} change `{changed}`, which is not theirs"
            else:
                what = f"the settings of {shown(name)} become a {type(found).__name__} when they are judged"
            raise mistake(what, "Mend or remove the package that they come from", self.key)
        except RegistryError as error:
            raise mistake(str(error), "Mend or remove that package", self.key) from None
        except (ValidationError, PydanticCustomError, KeyboardInterrupt):
            raise
        except BaseException as error:
            # The seam to settings that another package wrote: they may raise anything while they judge a value.
            what = f"the settings of {shown(name)} failed in a way that they must not: {words_of(error)}"
            raise mistake(what, "Mend or remove the package that they come from", self.key) from error

    def _changed(self, found: Part, value: Mapping[str, Any], context: Any) -> str | None:
        """What of a part is not as it is without the driver's settings: a name that is there already could so become its own."""
        own = self._base.model_validate({key: value[key] for key in keys_of(self._base) & value.keys()}, context=context)
        return next((key for key in self._base.model_fields if getattr(found, key) != getattr(own, key)), None)

    def _driver(self, name: object) -> Driver:
        try:
            found = self.registry.get(name) if isinstance(name, str) else None
        except RegistryError as error:
            raise mistake(str(error), "Mend or remove that package", self.key) from None
        if found is not None:
            driver: Driver = found
            return driver
        here = list(self.registry.installed())
        closest = did_you_mean(str(name), here, f"Write one of {', '.join(here)}")
        mend = (
            f"{closest}; for another, install a package that announces it in the group {self.registry.group} "
            "into this environment: pip install PACKAGE"
        )
        what = f"{shown(name)} is not known here as a {self.what}; it takes one of {', '.join(here)}"
        raise mistake(what, mend, self.key)

    def _part(self, driver: Driver) -> type[Part]:
        key = driver.name, driver.settings
        if key not in self._parts:
            taken = keys_of(driver.settings) & keys_of(self._base) - _keys_of_ancestors(driver.settings, self._base)
            if taken:
                raise RegistryError(
                    f"the {self.what} {driver.name} has a setting `{min(taken)}`, which every part of its kind has already"
                )
            named: dict[str, Any] = {self.key: (Literal[driver.name], driver.name if driver.name == self.default else ...)}
            bases = (self._base,) if issubclass(self._base, driver.settings) else (driver.settings, self._base)
            name = f"{driver.name}_{self._base.__name__}".title().replace("_", "").replace("-", "")
            try:
                self._parts[key] = create_model(name, __base__=bases, __doc__=driver.title, **named)
            except Exception as error:
                what = f"the settings of the {self.what} {driver.name} are in conflict with what every part of its kind has"
                raise RegistryError(f"{what}: {words_of(error)}") from error
        return self._parts[key]


def by_name(metadata: list[Any]) -> ByName | None:
    """The mark among what pydantic keeps of a field; None where it has none."""
    return next((marker for marker in metadata if isinstance(marker, ByName)), None)


def keys_of(model: type[BaseModel]) -> set[str]:
    """The keys that a part may have."""
    return {field.alias or name for name, field in model.model_fields.items()}


def _keys_of_ancestors(one: type[BaseModel], other: type[BaseModel]) -> set[str]:
    """The keys that two parts have from a common ancestor."""
    shared = (ancestor for ancestor in one.__mro__ if issubclass(other, ancestor) and issubclass(ancestor, BaseModel))
    return {key for ancestor in shared for key in keys_of(ancestor)}

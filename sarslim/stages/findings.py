"""What a check finds to be wrong, collected, so that it can be told at once."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from sarslim.errors import InputError, SarslimError, ServiceError, together
from sarslim.store.storage import is_s3


class Findings:
    """Errors in the order in which they were found."""

    def __init__(self) -> None:
        self.errors: list[SarslimError] = []

    @contextmanager
    def kept(self, where: str = "") -> Iterator[None]:
        """Keeps an error for the end.

        Args:
            where: stands before what the error itself names.
        """
        try:
            yield
        except SarslimError as error:
            problem = f"{error.where}: {error.problem}" if where and error.where != where else error.problem
            self.errors.append(type(error)(where or error.where, problem, error.remedy))

    @property
    def store_is_out_of_reach(self) -> bool:
        """Whether it makes no sense to ask the object store again."""
        return any(isinstance(error, ServiceError) for error in self.errors)

    def out_of_reach(self, addresses: Iterable[str]) -> bool:
        """Whether one of these is in an object store that does not answer."""
        return self.store_is_out_of_reach and any(map(is_s3, addresses))

    def end(self) -> None:
        """
        Raises:
            InputError: all errors, one of which at least is the user's.
            ServiceError: the first of errors that are not.
        """
        if any(isinstance(error, InputError) for error in self.errors):
            raise together([InputError(error.where, error.problem, error.remedy) for error in self.errors])
        if self.errors:
            raise self.errors[0]

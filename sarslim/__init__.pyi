from sarslim.cli.notebook import run as run
from sarslim.delivery.runtime import Bundle as Bundle
from sarslim.errors import InputError as InputError
from sarslim.errors import ServiceError as ServiceError

__version__: str

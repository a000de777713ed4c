"""Ask the daemon in this container whether it is well; the exit status tells."""

import os
import sys
from urllib.request import urlopen

address = f"http://127.0.0.1:{os.environ.get('ANAGNORISIS_WEB__PORT', '5001')}/healthz"
try:
    urlopen(address, timeout=4).close()
except OSError as error:
    sys.exit(f"{address}: {error}")

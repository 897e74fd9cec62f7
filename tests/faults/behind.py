"""The notary with a clock that is behind: python -m tests.faults.behind SECONDS, with the settings of a notary."""

import asyncio
import sys
from datetime import timedelta

import workers.notary
from connectors.notary_folder import NotaryFolder
from workers.certifying import Notary
from workers.commands.connection import settings
from workers.recalling import now
from workers.session import settings_beside
from workers.settings import Settings


def main() -> None:
    """Run it until told to stop."""
    behind, made = timedelta(seconds=float(sys.argv[1])), workers.notary.notary_of

    def late(told: Settings, folder: NotaryFolder) -> Notary:
        notary = made(told, folder)
        notary._clock = lambda: now() - behind
        return notary

    workers.notary.notary_of = late  # type: ignore[assignment]  # ours to replace
    asyncio.run(workers.notary.run_notary(settings_beside(settings())))


if __name__ == "__main__":
    main()

"""Pages show. Each file is one noun of the console; none of them decides anything."""

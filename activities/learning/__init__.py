"""Learning learns. The numeric code; it knows neither Temporal nor storage."""

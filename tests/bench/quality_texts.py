"""What the page of figures says in words: where data come from and how they are judged. No result is typed in here."""

OPENING = """\
# Benchmarks

Written by `quartermaster bench quality`; whatever is changed here by hand is lost with its next run. Targets that were
missed are in the first table, whoever does better than the engine has a section of their own."""
DATA = """\
## Data

`carparts`: monthly sales of 2,674 car parts over 51 months, three quarters of them zeros (CC BY 4.0). Missing months
stay missing. The file names no year; its months are counted from January 1998.

`online-retail`: the invoice lines of a UK gift wholesaler, December 2010 to December 2011 (UCI "Online Retail", CC BY
4.0), as net sales per article and week, cancellations taken off the day of their sale, articles with at least 26 weeks
before the test. **Invented, for the data has none of it:** a lead time of 2 weeks, holding 0.2 and shortage 1 per unit,
lost sales, the first stock. There is less than one year before the test, so no forecaster has seen its season before.

`demo-world`: generated from a seed, so everything about it is invented: daily demand of every shape with weekday,
season, promotions and empty shelves, packs, prices and promised lead times.

    python -m tests.bench.study_folders carparts carparts.csv FOLDER
    quartermaster evaluate FOLDER --horizon 12 --json

    python -m tests.bench.study_folders online-retail online_retail.csv.gz FOLDER
    quartermaster simulate FOLDER --exchange --json

    python -m tests.bench.study_folders demo-world {seed} FOLDER
    quartermaster simulate FOLDER --exchange --json
    quartermaster bench calibration --seed {seed} --json

    quartermaster bench oracle --json
    quartermaster bench forecast --json"""
PROTOCOL = """\
## Protocol

Forecasts are made from the periods before the test and scored on the test. A simulated policy sees at each review only
what its own shelves had shown by then: under lost sales nobody sees the demand of an empty shelf. What the engine
chooses (who forecasts which segment, how sure its orders are) it chooses on stretches before the test by itself; there
is no option that a user could turn. Within one run the test is looked at once. The engine was developed with these data
at hand, so figures on data that it never met may be worse.

Intervals are 95 %, from a paired bootstrap over series (2,000 resamples, fixed seed). Differences under 2 % are ties.
The first stock of every policy is the static order point's order-up-to level. Baselines: the static order point is mean
and 1.65 sigma of the last year over lead time plus review, typed in once; the moving average is computed anew at each
review; Prophet is one model per series with its own defaults; the clairvoyant knows all demand and is a bound, not a
policy."""

EXCHANGE = """\
One simulation compares policies at two fill rates at once. Here both are curves: the engine at many prices of a
shortage (in units of holding; its forecasts are those of the engine as it is, shared), the static order point at many
sigmas. The headline is *all rounds*. The first stock is the same for everybody and no order can undo it, so two more
views follow: only the rounds that an order can reach, and the same trial begun with empty shelves, which is another
trial than the one above."""
SPEED = """\
Generated weekly series of {weeks} weeks, {horizon} weeks ahead, the same for all. The engine learns one model from a
sample of bounded size, so learning hardly grows with the number of series: from the first to the last size
{series_times:g} times the series, {train_seconds_times:g} times the seconds to train and {predict_seconds_times:g}
times those to predict. Prophet leaves its yearly season out where there are less than two years, as here."""

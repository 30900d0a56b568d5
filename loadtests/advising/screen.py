"""What `advise` prints: before it measures, and the answer after, on one screen of 80 columns."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from comparisons import advice_sentences as sentences
from comparisons.advice import NOW, Advice, Candidate, Profile
from comparisons.result import Measurement, figure, interval
from loadtests.reporting.terminal import COLOURS, print_dim, wrapped

MAX_LINES = 4  # of a request: the others are in the result file and on the page
SIGNS = {"better": "✓", "same": "=", "unknown": "?"}


def print_plan(advice: Advice, console: Console) -> None:
    """Say what will be asked for, and of what, before anything is sent."""
    versions = ", ".join(f"{name} {version}" for name, version in advice.versions.items())
    _print(f"{advice.project}: {advice.settings}, {versions}", console, style="bold")
    for line in advice.uses:
        _print(line, console, first="  uses ")
    for line in advice.served_so:
        _print(line, console, first="  measured with: ")
    for name, share in advice.asks.items():
        _print(f"{name}{f' ({share:.0%})' if share < 1 else ''}", console, first="  sends ")
    _print(sentences.load(advice), console, first="  load: ")


def print_advice(advice: Advice, measurements: Sequence[Measurement], console: Console) -> None:
    """Print the answer."""
    _title("What a request is made of", console)
    for profile in _told(advice.profiles):
        _print(" ".join(sentences.of_request(profile)), console)
        lines = [line for line in profile.lines if line.kind != "query"][:MAX_LINES]
        for line in lines:
            held = line.kind == "holds" or sentences.waits_for_others(line)
            sign = "✗ " if held else "  "
            colour = COLOURS["refuted"] if held else ""
            _print(sentences.of_line(line), console, first=sign, style=colour)
        for said in sentences.of_hops(profile):
            _print(said, console, first="  ", style="dim")
    for said in sentences.of_middleware(advice):
        _print(said, console, first="✗ ", style=COLOURS["refuted"])
    on_loop = [profile for profile in advice.profiles if profile.interface == "asgi"]
    if on_loop and not sentences.holds(on_loop):
        _print("Nothing holds the event loop.", console, first="✓ ")
    for remark in advice.remarks:
        _print(remark, console, first="– ", style=COLOURS["invalid"])
    _title(f"Measured: {sentences.load(advice)}", console)
    console.print(candidates_table(advice, measurements))
    for sweep in advice.sweeps:
        _print(sentences.of_sweep(sweep), console)
    _title("What to run", console)
    print_choice(advice, console)
    if advice.crossovers:
        _title("What would change it", console)
        for crossover in advice.crossovers:
            _print(sentences.of_crossover(crossover, advice.profiles), console)
        print_dim(wrapped(sentences.of_sync_views(advice.profiles), console.width), console)


def print_choice(advice: Advice, console: Console) -> None:
    chosen = sentences.recommended(advice)
    if chosen is None:
        _print("None of them could be measured: see why below.", console)
        return
    for choice in advice.choices:
        sign = f"{SIGNS[choice.outcome]} "
        _print(sentences.of_choice(choice, advice.rate), console, first=sign)
    console.print(Text(f"\n    {chosen.command}", "bold"), soft_wrap=True, highlight=False)
    for line in chosen.changes:
        console.print(Text(f"    {line}", "bold"), soft_wrap=True, highlight=False)
    if chosen.why and chosen.name != NOW:
        print_dim(wrapped(f"Why: {chosen.why}", console.width), console)


def _told(profiles: Iterable[Profile]) -> list[Profile]:
    """One of each kind of request: of an async view, or where the loop is held, that under ASGI."""
    found: dict[str, Profile] = {}
    for profile in profiles:
        on_loop = profile.interface == "asgi" and (profile.is_async or sentences.holds([profile]))
        if profile.ask not in found or on_loop:
            found[profile.ask] = profile
    return list(found.values())


def candidates_table(advice: Advice, measurements: Sequence[Measurement]) -> Table:
    """Two lines a row, as `compare` has it; the recommended one is marked."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("candidate\n  processes × threads", no_wrap=True)
    for column in ("req/s\n95 %", "p50 ms\np99", "bystander ms\nlongest", "CPU ms\nfailed"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("conns\nMB", justify="right", no_wrap=True)
    chosen = sentences.recommended(advice)
    rows = {row.variant: row for row in measurements}
    for candidate in advice.candidates:
        row = rows.get(candidate.name)
        mark = "→ " if candidate is chosen else "  "
        name = f"{mark}{candidate.name}{'' if row and row.valid else ' (invalid)'}"
        cells = [f"{name}\n    {sentences.shape_of(candidate)}"]
        cells += _cells(row) if row else ["–"] * 5
        style = "bold" if candidate is chosen else None
        table.add_row(*cells, style=style if row and row.valid else COLOURS["invalid"])
    return table


def _cells(row: Measurement) -> list[str]:
    rate, failed = row.throughput, row.share_failed
    latency = (
        f"{figure(row.latency_ms.p50)}\n{figure(row.latency_ms.p99)}"
        if row.backlog_growth is None
        else f"backlog\n+{figure(row.backlog_growth)}/s"
    )
    return [
        f"{figure(rate.mean)}\n{interval(rate.low, rate.high)}",
        latency,
        f"{figure(row.bystander_ms.p50)}\n{figure(row.bystander_ms.typical_longest)}",
        f"{figure(row.server.cpu_ms_per_request)}\n"
        + (f"{figure(100 * failed)} %" if failed else ""),
        f"{row.server.db_connections}\n{figure(row.server.rss_mb)}",
    ]


def print_candidates(candidates: Sequence[Candidate], console: Console) -> None:
    """Say what will be measured, and why each of it."""
    _title("Worth measuring", console)
    for candidate in candidates:
        head = f"{candidate.name}: {sentences.shape_of(candidate)}"
        _print(head, console, first="  ")
        if candidate.why:
            print_dim(wrapped(candidate.why, console.width, first="    "), console)


def _title(text: str, console: Console) -> None:
    console.print(f"\n{text}", style="bold", soft_wrap=True, highlight=False)


def _print(line: str, console: Console, first: str = "", style: str = "") -> None:
    text = Text(wrapped(line, console.width, first=first), style)
    console.print(text, soft_wrap=True, highlight=False)

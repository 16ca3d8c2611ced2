"""Draw the packages, their modules and who imports whom, from the code itself."""

import ast
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch

# Libraries that only some modules may import, and the colour of those that do (Okabe and Ito, light).
LIBRARIES = {"numba": "#f4c27a", "matplotlib": "#a6dcc6", "sklearn": "#a9d4ef"}
OTHER = "#ececec"
PUBLIC = "public names"
# Width of the diagram and of a letter, height of a row of boxes.
WIDTH, LETTER, HEIGHT = 8.0, 0.07, 0.55


@dataclass
class Module:
    """First sentence of a docstring, packages and libraries that are imported."""

    summary: str
    packages: set = field(default_factory=set)
    libraries: set = field(default_factory=set)


def package_of(path, package):
    """Folder of a module; public modules and folders share one."""
    folder = path.relative_to(package).parts[0]
    return folder if folder.startswith("_") and not folder.endswith(".py") else PUBLIC


def read(package):
    """Of each package: its summary, and its modules by name."""
    package = Path(package)
    summaries, modules = {PUBLIC: "What users import."}, {PUBLIC: {}}
    for path in sorted(package.rglob("*.py")):
        tree = ast.parse(path.read_text())
        summary = " ".join(ast.get_docstring(tree).split("\n\n")[0].split())
        folder = package_of(path, package)
        if path.name == "__init__.py":
            if folder != PUBLIC:
                summaries[folder] = summary
            continue
        module = Module(summary)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                top = (node.module or node.names[0].name).split(".")[0]
                if node.level > len(path.relative_to(package).parts) - 1 and top.startswith("_"):
                    module.packages.add(top)
            elif isinstance(node, ast.ImportFrom):
                module.libraries.add(node.module.split(".")[0])
            elif isinstance(node, ast.Import):
                module.libraries |= {alias.name.split(".")[0] for alias in node.names}
        name = ".".join(part.removesuffix(".py") for part in path.relative_to(package).parts)
        modules.setdefault(folder, {})[name.removeprefix(f"{folder}.")] = module
    return summaries, modules


def imported(modules):
    """Of each package: those that it imports."""
    return {
        folder: {target for module in own.values() for target in module.packages} & set(modules) - {folder}
        for folder, own in modules.items()
    }


def order(modules):
    """The packages from the top down: each above all that it imports."""
    below, ordered = imported(modules), []
    while below:
        lowest = sorted(folder for folder, targets in below.items() if not targets & set(below))
        if not lowest:
            raise ValueError(f"these packages import one another: {sorted(below)}")
        ordered = [*lowest, *ordered]
        for folder in lowest:
            del below[folder]
    return ordered


def flow(names):
    """Place of the left end of each box: row by row, as wide as its name."""
    places, x, row = {}, 0.2, 0
    for name in names:
        width = LETTER * len(name) + 0.35
        if x + width > WIDTH:
            x, row = 0.2, row + 1
        places[name] = x, row
        x += width
    return places


def draw(package, target):
    """Write the diagram to `target`: a band for each package, an arrow to each that it imports."""
    _, modules = read(package)
    folders = order(modules)
    figure, ax = plt.subplots(figsize=(10, 9), layout="constrained")
    places, y = {}, 0.0
    for folder in folders:
        boxes = flow(sorted(modules[folder]))
        height = (1 + max(row for _, row in boxes.values())) * HEIGHT + 0.6
        style = {"boxstyle": "round,pad=0,rounding_size=0.1", "facecolor": "white", "edgecolor": "0.6"}
        ax.add_patch(FancyBboxPatch((0, y - height), WIDTH, height, **style))
        ax.text(0.15, y - 0.3, folder, fontsize=11, fontweight="bold", va="center")
        for name, (x, row) in boxes.items():
            color = next((c for library, c in LIBRARIES.items() if library in modules[folder][name].libraries), OTHER)
            box = {"boxstyle": "round,pad=0.3", "facecolor": color, "edgecolor": "0.5"}
            ax.text(x, y - 0.55 - (row + 0.4) * HEIGHT, name, va="center", fontsize=8.5, bbox=box)
        places[folder] = y - 0.3
        y -= height + 0.25
    for lane, folder in enumerate(folders):
        x = -0.3 - 0.25 * (len(folders) - 1 - lane)
        targets = imported(modules)[folder]
        for other in targets:
            ax.plot([x, -0.02], [places[other]] * 2, color="0.8", lw=0.8, zorder=0)
            ax.plot(x, places[other], "o", color="0.3", markersize=3)
            arrow = {"arrowstyle": "-|>", "mutation_scale": 9, "color": "0.3"}
            ax.add_patch(FancyArrowPatch((-0.2, places[other]), (0, places[other]), shrinkA=0, shrinkB=0, **arrow))
        if targets:
            lowest = min(places[other] for other in targets)
            ax.plot([0, x, x], [places[folder] + 0.12, places[folder] + 0.12, lowest], color="0.5", lw=1.0)
    handles = [Patch(facecolor=c, edgecolor="0.5", label=f"imports {library}") for library, c in LIBRARIES.items()]
    handles.append(Patch(facecolor=OTHER, edgecolor="0.5", label="NumPy and SciPy alone"))
    ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=4, frameon=False)
    ax.set(xlim=(-0.4 - 0.25 * len(folders), WIDTH + 0.1), ylim=(y, 0.1))
    ax.set_axis_off()
    figure.savefig(target)
    plt.close(figure)


def table(package, target):
    """Write what each package and each module is, in its own words, as a table."""
    summaries, modules = read(package)
    rows = []
    for folder in order(modules):
        title = f"**{folder}**" if folder == PUBLIC else f"**{folder}/**"
        rows.append(f"   * - {title}\n     - **{summaries[folder].removesuffix('.')}**")
        rows += [f"   * - ``{name}``\n     - {module.summary}" for name, module in sorted(modules[folder].items())]
    head = ".. list-table::\n   :header-rows: 1\n   :widths: 25 75\n\n   * - module\n     - what it is\n"
    Path(target).write_text(head + "\n".join(rows) + "\n")

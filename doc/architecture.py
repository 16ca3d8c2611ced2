"""Draw the modules of the package and who imports whom, from the code itself."""

import ast
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, Patch

# Libraries that only some modules may import, and the colour of those that do (Okabe and Ito, light).
LIBRARIES = {"numba": "#f4c27a", "matplotlib": "#a6dcc6", "sklearn": "#a9d4ef"}
OTHER = "#e8e8e8"


def read(package):
    """Of each module: the first line of its docstring, the modules and the libraries it imports."""
    modules = {}
    for path in sorted(Path(package).glob("*.py")):
        if path.stem == "__init__":
            continue
        tree = ast.parse(path.read_text())
        own, others = set(), set()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                own |= {node.module} if node.module else {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                others.add(node.module.split(".")[0])
            elif isinstance(node, ast.Import):
                others |= {alias.name.split(".")[0] for alias in node.names}
        modules[path.stem] = ast.get_docstring(tree).splitlines()[0], own, others
    return modules


def reached(modules, start):
    """All modules that `start` imports, directly or not."""
    found, todo = set(), list(modules[start][1])
    while todo:
        module = todo.pop()
        if module not in found:
            found.add(module)
            todo += modules[module][1]
    return found


def direct(modules):
    """Pairs (importer, imported) without those that follow from others: arrows that one can still read."""
    for module, (_, own, _) in modules.items():
        implied = set().union(*(reached(modules, other) for other in own)) if own else set()
        yield from ((module, other) for other in sorted(own - implied))


def layout(modules, edges):
    """Position of each module: below all that import it, near them."""
    importers = {module: [a for a, b in edges if b == module] for module in modules}

    def depth(module):
        return 1 + max((depth(importer) for importer in importers[module]), default=-1)

    rows = {}
    for module in modules:
        rows.setdefault(depth(module), []).append(module)
    places = {}
    for row in sorted(rows):

        def wish(module, row=row):
            above = [places[importer][0] for importer in importers[module]]
            return (sum(above) / len(above) if above else rows[row].index(module)), module

        ordered = sorted(rows[row], key=wish)
        for i, module in enumerate(ordered):
            # rows are shifted in turn, so that few arrows pass behind a box on their way
            places[module] = (i + 0.38 + 0.24 * (row % 2)) / len(ordered), -row
    return places


def draw(package, target):
    """Write the diagram to `target`."""
    modules = read(package)
    edges = list(direct(modules))
    places = layout(modules, edges)
    figure, ax = plt.subplots(figsize=(10, 7.5), layout="constrained")
    texts = {}
    for module, (x, y) in places.items():
        color = next((c for library, c in LIBRARIES.items() if library in modules[module][2]), OTHER)
        box = {"boxstyle": "round,pad=0.4", "facecolor": color, "edgecolor": "0.4"}
        texts[module] = ax.text(x, y, module, ha="center", va="center", fontsize=10, bbox=box, zorder=2)
    for a, b in edges:
        (x0, y0), (x1, y1) = places[a], places[b]
        ax.add_patch(
            FancyArrowPatch(
                (x0, y0),
                (x1, y1),
                patchA=texts[a].get_bbox_patch(),
                patchB=texts[b].get_bbox_patch(),
                arrowstyle="-|>",
                mutation_scale=9,
                color="0.55",
                connectionstyle="arc3,rad=0.05",
                zorder=1,
            )
        )
    handles = [Patch(facecolor=c, edgecolor="0.4", label=f"imports {library}") for library, c in LIBRARIES.items()]
    handles.append(Patch(facecolor=OTHER, edgecolor="0.4", label="NumPy and SciPy alone"))
    ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=4, frameon=False)
    ax.set(xlim=(0, 1), ylim=(min(y for _, y in places.values()) - 0.4, 0.4))
    ax.set_axis_off()
    figure.savefig(target)
    plt.close(figure)


def table(package, target):
    """Write what each module does, in its own words, as a table."""
    rows = [f"   * - ``{module}``\n     - {first}" for module, (first, _, _) in read(package).items()]
    head = ".. list-table::\n   :header-rows: 1\n   :widths: 25 75\n\n   * - module\n     - what it does\n"
    Path(target).write_text(head + "\n".join(rows) + "\n")

"""The page about the command line, made from the program itself: every command with its options, so that it cannot fall behind."""
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent)) # the package of this project
from typer.main import get_command

from fea.cli.main import app, load_command

HEAD = """# The command line

> Every command of `fea`, with its options, as `fea COMMAND --help` shows it

`fea` comes before all of them. Options that are used again and again can stand in `fea.toml` in the current folder, in a table with the command's name, or in a
file that `fea --config` names; what is typed counts more. Shells complete commands and options after `fea --install-completion`.

```toml
[analyze]
fps = 5
out = "results"

[drift.check]
baseline = "validated.json"
```"""


def escape(
    text:str, # Of a cell
)->str: # Markdown for a cell of a table
    "A text that stays in its cell and is no markup"
    return ' '.join(text.split()).replace('|', '\\|').replace('<', '&lt;').replace('*', '\\*')


def default_text(
    parameter:Any, # Option or argument, as the parser knows it
)->str: # Empty if there is none worth telling
    "What is taken when the parameter is left out"
    if parameter.required: return 'has to be given'
    if isinstance(parameter.show_default, str): return parameter.show_default
    value = getattr(parameter.default, 'value', parameter.default)
    return '' if not parameter.show_default or value in (None, '', False) else f'`{value}`'


def parameter_row(
    parameter:Any, # Option or argument, as the parser knows it
)->str: # Line of a table
    "A parameter in a line: how it is written, what it means, what is taken without it"
    names = [parameter.metavar or parameter.name.upper()] if parameter.param_type_name == 'argument' else [*parameter.opts, *parameter.secondary_opts]
    variable = f' (or `{parameter.envvar}` in the environment)' if isinstance(parameter.envvar, str) else ''
    repeated = '...' if parameter.nargs == -1 else ''
    return f"| {', '.join(f'`{name}{repeated}`' for name in names)} | {escape(parameter.help or '')}{variable} | {escape(default_text(parameter))} |"


def command_blocks(
    command:Any, # As the parser knows it
    name:str, # As it is typed, like 'fea drift check'
    level:int, # Of its heading
)->list[str]: # Blocks of Markdown
    "A command and, if it is a group, those below it"
    about, _, example = (command.help or '').partition('\n\nExample:\n')
    blocks = [f"{'#' * level} {name}", escape(about)]
    if example: blocks.append('```sh\n' + '\n'.join(line.strip() for line in example.splitlines()) + '\n```')
    shown = [parameter for parameter in command.params if not parameter.hidden]
    rows = [parameter_row(parameter) for kind in ('argument', 'option') for parameter in shown if parameter.param_type_name == kind]
    if rows: blocks.append('\n'.join(['| | | without it |', '|---|---|---|', *rows]))
    for below in getattr(command, 'commands', {}).values(): blocks += command_blocks(below, f'{name} {below.name}', level + 1)
    return blocks


def cli_markdown()->str: # A page
    "The reference of all commands, by the panels of `fea --help`"
    program = get_command(app)
    panels: dict[str, list[Any]] = {}
    for command in map(load_command, program.commands): panels.setdefault(command.rich_help_panel, []).append(command)
    blocks = [HEAD, '\n'.join(['| | | without it |', '|---|---|---|', *(parameter_row(option) for option in program.params)])]
    for panel, commands in panels.items():
        blocks.append(f'## {panel}')
        for command in commands: blocks += command_blocks(command, f'fea {command.name}', 3)
    return '\n\n'.join(blocks) + '\n'


if __name__ == '__main__': print(cli_markdown())

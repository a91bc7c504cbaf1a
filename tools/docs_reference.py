"""Reference entries of the documentation site, read from the text of exported cells; nothing is imported or run.

An entry shows what a reader of the notebook sees: signature, docstring, a table of the parameters with the comments beside them, and
the source, folded. nbdev's `show_doc` would execute every notebook for this, which takes minutes and all extras.
"""
import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from html import escape

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
FUNCTIONS = ast.FunctionDef, ast.AsyncFunctionDef
WIDTH = 76 # characters of a signature on one line


def line_comments(
    source:str, # Python
)->dict[int, str]: # Line number, from 1, to the text of its comment
    "The comments of a cell"
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0]: t.string.lstrip('#').strip() for t in tokens if t.type == tokenize.COMMENT}


def public_definitions(
    body:list[ast.stmt], # Of a cell or a class
)->list[Definition]: # Functions and classes whose names have no leading underscore
    "What gets an entry"
    return [node for node in body if isinstance(node, (*FUNCTIONS, ast.ClassDef)) and node.name[0] != '_']


def assigned_names(
    body:list[ast.stmt], # Of a cell
)->list[str]: # Names of constants and type aliases
    "What a cell defines beside functions and classes"
    targets = [t for node in body if isinstance(node, ast.Assign) for t in node.targets] + [n.target for n in body if isinstance(n, ast.AnnAssign)]
    flat = [name for t in targets for name in (t.elts if isinstance(t, ast.Tuple) else [t])]
    return [t.id for t in flat if isinstance(t, ast.Name) and t.id[0] != '_']


def is_import(
    node:ast.stmt, # Of a cell
)->bool: # Whether it only imports, perhaps for type checkers alone
    "What the reference leaves out"
    if isinstance(node, ast.If): return ast.unparse(node.test) == 'TYPE_CHECKING' and all(is_import(n) for n in node.body + node.orelse)
    return isinstance(node, (ast.Import, ast.ImportFrom))


def type_text(
    node:ast.expr|None, # Annotation
)->str: # As written, without what `Annotated` adds and without quotes
    "A type for people"
    if node is None: return ''
    if isinstance(node, ast.Constant) and isinstance(node.value, str): return node.value
    if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith('Annotated') and isinstance(node.slice, ast.Tuple):
        return type_text(node.slice.elts[0])
    return ast.unparse(node)


def arguments(
    function:ast.FunctionDef|ast.AsyncFunctionDef, # A function
)->Iterator[tuple[str, ast.arg, ast.expr|None]]: # Name with its stars, argument, default
    "The arguments in the order in which they are written, without self and cls"
    given = function.args
    positional = given.posonlyargs + given.args
    defaults = [None] * (len(positional) - len(given.defaults)) + given.defaults
    yield from ((a.arg, a, d) for a, d in zip(positional, defaults, strict=True) if a.arg not in ('self', 'cls'))
    if given.vararg: yield '*' + given.vararg.arg, given.vararg, None
    yield from ((a.arg, a, d) for a, d in zip(given.kwonlyargs, given.kw_defaults, strict=True))
    if given.kwarg: yield '**' + given.kwarg.arg, given.kwarg, None


def argument_lines(
    function:ast.FunctionDef|ast.AsyncFunctionDef, # A function
)->dict[str, int]: # Name to the line on which it ends
    "Where the comment of an argument stands; of several on one line the last has it"
    ends = [(name, (default or arg).end_lineno or 0) for name, arg, default in arguments(function)]
    last = {line: name for name, line in ends}
    return {name: line for name, line in ends if last[line] == name and (function.returns is None or function.returns.end_lineno != line)}


def signature(
    function:ast.FunctionDef|ast.AsyncFunctionDef, # A function
    name:str, # What to call it
)->str: # Python, without types: they stand in the table
    "How a function is called"
    words = [f'{shown}={ast.unparse(default)}' if default else shown for shown, _, default in arguments(function)]
    if function.args.kwonlyargs and not function.args.vararg: words.insert(len(words) - len(function.args.kwonlyargs) - bool(function.args.kwarg), '*')
    line = f"{name}({', '.join(words)})"
    return line if len(line) <= WIDTH else f'{name}(\n' + ''.join(f'    {word},\n' for word in words) + ')'


def cell_text(
    text:str, # Prose with backticks
    link:Callable[[str], str], # Turns backticked names into links
)->str: # For a cell of a Markdown table
    "Prose that cannot break a table or become HTML"
    parts = re.split(r'(`[^`]*`)', text)
    plain = [part if i % 2 else re.sub(r'([\\*_\[\]])', r'\\\1', escape(part, quote=False)) for i, part in enumerate(parts)]
    linked = link(''.join(plain))
    return re.sub(r'`([^`]*\|[^`]*)`', lambda m: code_text(m[1]), linked).replace('|', '&#124;')


def code_text(
    text:str, # Python
)->str: # HTML
    "Code in a table, bars included"
    return f"<code>{escape(text, quote=False).replace('|', '&#124;')}</code>" if text else ''


def table(
    rows:list[tuple[str, str, str, str]], # Name, type, default, meaning
    head:str, # Title of the first column
)->str: # Markdown, or nothing
    "A table of parameters or fields; the column of defaults appears when there are any"
    if not rows: return ''
    columns = [0, 1, 2, 3] if any(row[2] for row in rows) else [0, 1, 3]
    titles = [(head, 'type', 'default', 'meaning')[i] for i in columns]
    lines = [titles, ['---'] * len(columns), *[[row[i] for i in columns] for row in rows]]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines)


def parameter_table(
    function:ast.FunctionDef|ast.AsyncFunctionDef, # A function
    comments:dict[int, str], # From `line_comments`
    link:Callable[[str], str], # Turns backticked names into links
)->str: # Markdown, or nothing
    "Parameters and return value with their comments"
    lines = argument_lines(function)
    rows = [(code_text(name), code_text(type_text(arg.annotation)), code_text(ast.unparse(default) if default else ''),
             cell_text(comments.get(lines.get(name, 0), ''), link)) for name, arg, default in arguments(function)]
    back = function.returns
    if back is not None and type_text(back) != 'None':
        rows.append(('returns', code_text(type_text(back)), '', cell_text(comments.get(back.end_lineno or 0, ''), link)))
    return table(rows, 'parameter')


def field_table(
    node:ast.ClassDef, # A class
    comments:dict[int, str], # From `line_comments`
    link:Callable[[str], str], # Turns backticked names into links
)->str: # Markdown, or nothing
    "Fields of a dataclass with their comments"
    fields = [n for n in node.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name) and n.target.id[0] != '_']
    return table([(code_text(ast.unparse(n.target)), code_text(type_text(n.annotation)), code_text(ast.unparse(n.value) if n.value else ''),
                   cell_text(comments.get(n.end_lineno or 0, ''), link)) for n in fields], 'field')


def prose(
    text:str, # Docstring
    link:Callable[[str], str], # Turns backticked names into links
)->str: # Markdown in which nothing becomes HTML
    "A docstring as a paragraph"
    return link(''.join(p if i % 2 else escape(p, quote=False) for i, p in enumerate(re.split(r'(`[^`]*`)', text))))


def function_blocks(
    function:ast.FunctionDef|ast.AsyncFunctionDef, # A function or method
    name:str, # What to call it
    comments:dict[int, str], # From `line_comments`
    link:Callable[[str], str], # Turns backticked names into links
)->list[str]: # Blocks of Markdown
    "Signature, docstring and parameters"
    call = signature(function, name)
    if any(ast.unparse(d).split('.')[-1] in ('property', 'cached_property') for d in function.decorator_list): call = name
    return [f'```python\n{call}\n```', prose(ast.get_docstring(function) or '', link), parameter_table(function, comments, link)]


def class_blocks(
    node:ast.ClassDef, # A class
    comments:dict[int, str], # From `line_comments`
    link:Callable[[str], str], # Turns backticked names into links
)->list[str]: # Blocks of Markdown
    "How an object is made, its fields, its public methods"
    made = [n for n in node.body if isinstance(n, FUNCTIONS) and n.name == '__init__']
    bases = f"({', '.join(map(ast.unparse, node.bases))})" if node.bases else ''
    call = signature(made[0], node.name) if made else f'class {node.name}{bases}'
    blocks = [f'```python\n{call}\n```', prose(ast.get_docstring(node) or '', link), field_table(node, comments, link)]
    if made: blocks.append(parameter_table(made[0], comments, link))
    for method in public_definitions(node.body):
        if isinstance(method, ast.ClassDef): continue
        name = f'{node.name}.{method.name}'
        blocks += [f'#### {name} {{ #{name} }}', *function_blocks(method, name, comments, link)]
    return blocks


def folded(
    title:str, # What to open
    source:str, # Python
    opened:bool=False, # Whether it starts open
)->str: # Markdown
    "Code behind a line that opens it"
    fenced = f'```python\n{source}\n```'
    return f"???{'+' * opened} source \"{title}\"\n\n" + '\n'.join(f'    {line}'.rstrip() for line in fenced.splitlines())


def entries(
    source:str, # An exported cell, without its directives
    link:Callable[[str], str]=lambda text: text, # Turns backticked names into links
    opened:bool=False, # Whether the source is shown at once
)->list[str]: # Blocks of Markdown; none for a cell of imports
    "The entries of an exported cell and its source"
    body, comments = ast.parse(source).body, line_comments(source)
    blocks = []
    for node in public_definitions(body):
        blocks.append(f'### {node.name} {{ #{node.name} }}')
        blocks += class_blocks(node, comments, link) if isinstance(node, ast.ClassDef) else function_blocks(node, node.name, comments, link)
    names = assigned_names(body)
    if all(is_import(node) for node in body): return []
    anchors = ''.join(f'<span id="{name}"></span>' for name in names)
    title = ', '.join(names) if names and not public_definitions(body) else 'Source'
    return [block for block in [*blocks, anchors, folded(title, source.strip(), opened)] if block]

#!/usr/bin/env python
"""Check a built site: every link, anchor and picture leads somewhere, and no page asks another host for anything.

The generator checks the links that it knows; this reads what a browser would read. Links that a reader may follow to other hosts are
not visited.
"""
import argparse
import re
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = { # What a browser fetches by itself
    'script': ('src',), 'img': ('src', 'srcset'), 'iframe': ('src',), 'source': ('src', 'srcset'), 'video': ('src', 'poster'), 'audio': ('src',),
    'embed': ('src',), 'object': ('data',), 'track': ('src',), 'input': ('src',), 'image': ('href', 'xlink:href'), 'use': ('href', 'xlink:href')}
PASSIVE = {'canonical', 'next', 'prev', 'alternate', 'author', 'license'} # <link>s that a browser only notes
CSS_URL = re.compile(r'url\(\s*["\']?([^"\')]+)|@import\s+["\']([^"\']+)')


@dataclass
class Page(HTMLParser):
    "What one page names, loads and links to"
    anchors:set[str] = field(default_factory=set) # Its ids
    loads:list[str] = field(default_factory=list) # Addresses that a browser fetches at once
    links:list[str] = field(default_factory=list) # Addresses that a reader may follow
    diagrams:bool = False # Whether it would fetch Mermaid
    in_style:bool = False

    def __post_init__(self)->None: super().__init__()

    def handle_starttag(self, tag:str, attrs:list[tuple[str, str|None]])->None:
        found = {name: value or '' for name, value in attrs}
        self.anchors |= {found[name] for name in ('id', 'name') if name in found and (name == 'id' or tag == 'a')}
        self.in_style = tag == 'style'
        self.diagrams |= 'mermaid' in found.get('class', '').split()
        for name in LOADED.get(tag, ()):
            addresses = found.get(name, '').split(',') if name == 'srcset' else [found.get(name, '')]
            self.loads += [a.strip().split(' ')[0] for a in addresses if a.strip()]
        if tag == 'link' and 'href' in found:
            (self.links if set(found.get('rel', '').split()) & PASSIVE else self.loads).append(found['href'])
        if tag in ('a', 'area') and 'href' in found: self.links.append(found['href'])
        self.loads += css_addresses(found.get('style', ''))
        if tag == 'meta' and found.get('http-equiv', '').lower() == 'refresh': self.loads.append(found.get('content', '').partition('=')[2])

    def handle_endtag(self, tag:str)->None: self.in_style = False

    def handle_data(self, data:str)->None:
        if self.in_style: self.loads += css_addresses(data)


def css_addresses(
    css:str, # Style sheet
)->list[str]: # What it loads
    "Addresses in a style sheet"
    return [a or b for a, b in CSS_URL.findall(css)]


def is_external(
    address:str, # Of a link
)->bool: # Whether it names another host
    "Other hosts, and addresses without a scheme that would take the page's"
    parts = urlsplit(address)
    return parts.scheme in ('http', 'https', 'ws', 'wss', 'ftp') or (not parts.scheme and bool(parts.netloc))


def read_page(
    file:Path, # HTML
)->Page: # What it holds
    "A page as a browser would read it"
    page = Page()
    page.feed(file.read_text(encoding='utf-8'))
    return page


def broken(
    address:str, # As it stands in the page
    file:Path, # Where it stands
    site:Path, # Folder of the site
    pages:dict[Path, Page], # All pages
)->str: # Why it leads nowhere, or nothing
    "Follow an address inside the site"
    parts = urlsplit(address)
    if parts.scheme or parts.netloc: return ''
    if parts.path.startswith('/'): return 'starts at the root of the host, where the site may not be'
    target = (file.parent/unquote(parts.path)).resolve() if parts.path else file
    if not target.is_relative_to(site): return 'leads out of the site'
    if target.is_dir(): target = target/'index.html'
    if not target.exists(): return 'does not exist'
    anchor = unquote(parts.fragment)
    if anchor and target in pages and anchor not in pages[target].anchors: return 'has no such place'
    return ''


def check_site(
    site:Path, # Folder of the built site
)->list[str]: # What is wrong, one line each; empty when all is well
    "Follow every link of every page, and look for anything that another host would have to give"
    site = site.resolve()
    pages = {file: read_page(file) for file in sorted(site.rglob('*.html'))}
    faults = [] if pages else [f'{site}: holds no page']
    for file, page in pages.items():
        name = file.relative_to(site).as_posix()
        faults += [f'{name}: loads {a} from another host' for a in page.loads if is_external(a)]
        faults += [f'{name}: {a} {why}' for a in dict.fromkeys(page.loads + page.links) if (why := broken(a, file, site, pages))]
        if page.diagrams: faults.append(f'{name}: a diagram that would fetch Mermaid from another host')
    for file in sorted(site.rglob('*.css')):
        faults += [f'{file.relative_to(site).as_posix()}: loads {a} from another host' for a in css_addresses(file.read_text()) if is_external(a)]
    return faults


def main()->int: # Exit code
    "The command line"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('site', type=Path, help='folder of the built site')
    faults = check_site(parser.parse_args().site)
    print('\n'.join(faults) or 'every link leads somewhere; nothing is loaded from another host')
    return int(bool(faults))


if __name__ == '__main__': sys.exit(main())

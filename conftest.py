"Notebooks are tests, see tools/pytest_notebooks.py"
pytest_plugins = ['pytest_notebooks']

from setuptools import setup

setup(
    name="hello",
    version="1.0",
    packages=["hello"],
    entry_points={"console_scripts": [
        "hello = hello.cli:Cli.run",
        "helloc = quicken.script:hello.cli._.Cli.run",
        "helloctl = quicken.ctl_script:hello.cli._.Cli.run",
    ]},
)

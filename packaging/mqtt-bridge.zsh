#compdef mqtt-bridge

_arguments \
    '--config[the configuration]:file:_files' \
    '--check[say whether the configuration is good, and end]' \
    '--new-token[print a new secret and its table, and end]:name:' \
    '--new-hook[print a new secret path and its table, and end]:name:' \
    '(-V --version)'{-V,--version}'[print the version, and end]' \
    '(-h --help)'{-h,--help}'[print the options, and end]'

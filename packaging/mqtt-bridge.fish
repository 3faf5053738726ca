# fish completion of mqtt-bridge

complete -c mqtt-bridge -f
complete -c mqtt-bridge -l config -r -F -d 'The configuration'
complete -c mqtt-bridge -l check -d 'Say whether the configuration is good, and end'
complete -c mqtt-bridge -l new-token -x -d 'Print a new secret and its table, and end'
complete -c mqtt-bridge -l new-hook -x -d 'Print a new secret path and its table, and end'
complete -c mqtt-bridge -s V -l version -d 'Print the version, and end'
complete -c mqtt-bridge -s h -l help -d 'Print the options, and end'

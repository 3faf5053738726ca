# bash completion of mqtt-bridge

_mqtt_bridge() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    case $previous in
    --config)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        ;;
    --new-token | --new-hook) ;;
    *) mapfile -t COMPREPLY < <(compgen -W '--config --check --new-token --new-hook --version --help' -- "$current") ;;
    esac
}

complete -F _mqtt_bridge mqtt-bridge

# Completion of convmark for bash: commands and options as the installed program lists them, and
# names of files. `cmake --install` puts it where bash-completion looks; elsewhere source this file.

_convmark() {
    local current=${COMP_WORDS[COMP_CWORD]} program=${COMP_WORDS[0]} command=${COMP_WORDS[1]}
    local words=
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        words=$("$program" --help 2>/dev/null | sed -n 's/^  \([a-z-]*\) .*/\1/p')
    elif [[ $current == -* ]]; then
        words=$("$program" "$command" --help 2>/dev/null | sed -n 's/^  \(--[a-z0-9-]*\).*/\1/p')
    else
        case $command in
        train | describe | profile)
            words=$("$program" variants 2>/dev/null | sed -n 's/^\([a-z0-9.-]*[0-9a-z]\)  .*/\1/p')
            ;;
        esac
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    if [ "${#COMPREPLY[@]}" -eq 0 ] && [[ $current != -* ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    fi
}
complete -o filenames -F _convmark convmark

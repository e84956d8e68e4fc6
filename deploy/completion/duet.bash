# bash completion for duet(8)

_duet()
{
    local cur prev words cword
    _init_completion -s || return

    local commands="setup run status why events blackbox switch drill hold resume clear claim reload sync check-config import keygen
        handover wants help"
    local daemons="heartbeatd arbiterd takeoverd superviserd syncd trapd monitord witnessd"
    local common="--config --node --run-dir --state-dir"
    local command="" i

    case $prev in
        --config) _filedir conf; return ;;
        --run-dir | --state-dir) _filedir -d; return ;;
        --node)
            COMPREPLY=($(compgen -W "$(sed -n 's/^[[:space:]]*node[[:space:]]*"\([^"]*\)".*/\1/p' \
                /etc/duet/duet.conf 2>/dev/null | sort -u)" -- "$cur"))
            return ;;
        --for) COMPREPLY=($(compgen -W "10m 30m 1h 2h 8h" -- "$cur")); return ;;
        --wait) COMPREPLY=($(compgen -W "10m 1h" -- "$cur")); return ;;
        --boot) COMPREPLY=($(compgen -W "-1 -2 -3" -- "$cur")); return ;;
    esac

    for ((i = 1; i < cword; i++)); do
        case ${words[i]} in
            --config | --node | --run-dir | --state-dir) ((i++)) ;;
            -*) ;;
            *) command=${words[i]}; break ;;
        esac
    done

    case $command in
        "") COMPREPLY=($(compgen -W "$commands $common" -- "$cur")) ;;
        setup) COMPREPLY=($(compgen -W "nodes channel device= active= passive= router= gateway= --cluster --profile $common" \
            -- "$cur")) ;;
        status) COMPREPLY=($(compgen -W "--json --check --watch $common" -- "$cur")) ;;
        why) COMPREPLY=($(compgen -W "--json $common" -- "$cur")) ;;
        blackbox) COMPREPLY=($(compgen -W "--boot --json $common" -- "$cur")) ;;
        events) COMPREPLY=($(compgen -W "role peer path/ link/ router/ search/ address alarm/ service/ hook watchdog \
            reboot sync trap daemon/ --json $common" -- "$cur")) ;;
        switch | claim) COMPREPLY=($(compgen -W "--force $common" -- "$cur")) ;;
        drill) COMPREPLY=($(compgen -W "--one-way --wait $common" -- "$cur")) ;;
        reload) COMPREPLY=($(compgen -W "--check $common" -- "$cur")) ;;
        hold) COMPREPLY=($(compgen -W "--for $common" -- "$cur")) ;;
        sync) COMPREPLY=($(compgen -W "status now verify log rollback --json $common" -- "$cur")) ;;
        check-config) _filedir conf ;;
        import) _filedir conf ;;
        keygen)
            COMPREPLY=($(compgen -W "--monitor --client" -- "$cur"))
            [ "${#COMPREPLY[@]}" -gt 0 ] || _filedir
            ;;
        wants) COMPREPLY=($(compgen -W "$daemons" -- "$cur")) ;;
        *) COMPREPLY=($(compgen -W "$common" -- "$cur")) ;;
    esac
} && complete -F _duet duet

#include "control/cli/session_internal.h"

namespace weft::control {
namespace {

constexpr const char* kBash = R"sh(# Completion of weft for bash.
_weft() {
    local weft="${COMP_WORDS[0]}" word="${COMP_WORDS[COMP_CWORD]}" first="${COMP_WORDS[1]}"
    local choices=""
    if [ "$COMP_CWORD" -eq 1 ]; then
        choices="status doctor top fs drive mount umount demo serve completion"
    elif [ "$COMP_CWORD" -eq 2 ]; then
        case "$first" in
            fs) choices="create list resize remove" ;;
            drive) choices="list add fail replace" ;;
            demo) choices="start stop remove" ;;
            completion) choices="bash zsh fish" ;;
            mount) choices="$("$weft" fs list 2>/dev/null | awk 'NR > 1 {print $1}')" ;;
            umount) choices="$("$weft" mount 2>/dev/null | awk 'NR > 1 {print $2}')" ;;
        esac
    elif [ "$COMP_CWORD" -eq 3 ]; then
        case "$first ${COMP_WORDS[2]}" in
            "fs resize"|"fs remove")
                choices="$("$weft" fs list 2>/dev/null | awk 'NR > 1 {print $1}')" ;;
            "drive fail"|"drive replace")
                choices="$("$weft" drive list 2>/dev/null | awk 'NR > 1 {print $1}')" ;;
        esac
    fi
    case "$word" in
        -*) choices="--help --json --cluster"
            case "$first ${COMP_WORDS[2]}" in
                doctor*) choices="$choices --full" ;;
                top*) choices="$choices --once --interval" ;;
                "fs create"|"fs resize") choices="$choices --size" ;;
                "fs remove"|"demo remove") choices="$choices --yes" ;;
                "drive add"|"drive replace") choices="$choices --size --overwrite" ;;
                "drive fail") choices="$choices --force" ;;
                mount*) choices="$choices --at --in-process --no-io-uring" ;;
                "demo start") choices="$choices --name --drives --drive-size --scheme --mount"
                    choices="$choices --listen --no-io-uring" ;;
            esac ;;
    esac
    COMPREPLY=($(compgen -W "$choices" -- "$word"))
    [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "$word"))
}
complete -o filenames -F _weft weft
)sh";

constexpr const char* kZsh = R"sh(#compdef weft
autoload -U +X bashcompinit && bashcompinit
)sh";

constexpr const char* kFish = R"sh(# Completion of weft for fish.
set -l top status doctor top fs drive mount umount demo serve completion
complete -c weft -n "not __fish_seen_subcommand_from $top" -f -a "$top"
complete -c weft -n "__fish_seen_subcommand_from fs" -f -a "create list resize remove"
complete -c weft -n "__fish_seen_subcommand_from drive" -a "list add fail replace"
complete -c weft -n "__fish_seen_subcommand_from demo" -f -a "start stop remove"
complete -c weft -n "__fish_seen_subcommand_from completion" -f -a "bash zsh fish"
complete -c weft -l json -d "Print JSON"
complete -c weft -l cluster -r -d "Folder of the cluster"
)sh";

}  // namespace

std::string completion_script(const std::string& shell) {
    if (shell == "fish") return kFish;
    if (shell == "zsh") return std::string(kZsh) + kBash;
    return kBash;
}

}  // namespace weft::control

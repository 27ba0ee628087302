# ---------------------------------------------------------------- what is the same in every plan

LC_ALL=C
export LC_ALL PATH
mask=$(umask) # for what others do: their files are not ours to hide
umask 077
unset CDPATH ENV BASH_ENV TMPDIR http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY

# words that nobody hears must not end a run
exec </dev/null
(: >&1) 2>/dev/null || exec >/dev/null
(: >&2) 2>/dev/null || exec 2>/dev/null
trap : PIPE

mode=apply      # apply, dry-run or rollback
changed=0       # whether a file may have been replaced
reloaded=0      # whether FPM may have been told to reload
cached=0        # whether the application's caches may have been renewed
resumed=0       # whether an earlier run was cut off
locked=0        # whether what lies about is ours
scratch=''      # where a dry run works

say() { printf 'capacity: %s\n' "$*" 1>&2 2>/dev/null || :; }

mark() { (: >"$1") 2>/dev/null; } # in a shell of its own: a redirection that fails would end this one

refuse() { # code, words: end before anything was changed
    code=$1
    shift
    say "$*"
    clean_up
    exit "$code"
}

fail() { # words: end, and put back what may have been changed
    trap '' HUP INT TERM
    say "failed: $*"
    if [ "$changed$reloaded$cached" = 000 ]; then
        clean_up
        say 'nothing was changed'
        exit 1
    fi
    if roll_back; then
        say 'rolled back: everything is as it was before'
        exit 1
    fi
    say "THE ROLLBACK IS NOT COMPLETE: look at the messages above, then run sh $0 --rollback once more"
    say "the originals are below $store"
    exit 6
}

for_each_file() { # command: call it with the number of each file, the facts of that file being set
    for number in $files; do
        "file_$number"
        "$@" "$number" || return
    done
}

# ---------------------------------------------------------------- files

limited() { # seconds, command: the locks stay here, for busybox' timeout lives on for a second
    timeout "$@" 8<&- 9<&-
}

sum_of() { # file: its sha256; somebody may have put a pipe there, or a device without an end
    sum=$(limited 10 head -c 1048577 -- "$1" | sha256sum) || return
    printf '%s\n' "${sum%% *}"
}

is_as() { # file: whether mode, owner and group are as planned
    facts=$(stat -c '%a %U %G' -- "$1") || return
    [ "$facts" = "$permissions $owner $group" ] || [ "$(stat -c '%a %u %g' -- "$1")" = "$permissions $owner $group" ]
}

look_at() { # number: set state to before, after or what else it is
    if [ -L "$path" ] || [ "$(readlink -f -- "$path")" != "$path" ]; then
        state='is reached through a symbolic link now'
    elif [ ! -f "$path" ]; then
        state='is not there any more'
    elif [ ! -r "$path" ]; then
        state='cannot be read: run this as root'
    elif ! is_as "$path"; then
        state="has another mode, owner or group now: $facts instead of $permissions $owner $group"
    else
        case $(sum_of "$path") in
        "$before") state=before ;;
        "$after") state=after ;;
        *) state='has another content now' ;;
        esac
    fi
}

survey() { # number: count the files by state, and refuse what is neither
    look_at
    case $state in
    before) count_before=$((count_before + 1)) ;;
    after)
        count_after=$((count_after + 1))
        [ -f "$started" ] || [ -f "$applied" ] && [ -f "$backup" ] && [ "$(sum_of "$backup")" = "$before" ] && return
        stale "$path has the planned content already, but not by this plan"
        ;;
    *) stale "$path $state" ;;
    esac
}

stale() { # words: something is not as planned; all of it is told before the end
    say "stale: $*"
    is_stale=1
}

make_store() { # where the originals are kept: nobody else may have a hand in it
    mkdir -p -- "$store" && [ ! -L "$store" ] && [ -O "$store" ] && is_trusted "$store" && return
    say "$store, and what is above it, must belong to root or to you, and not be writable by others"
    return 1
}

back_up() { # number: keep the original, once
    if [ -e "$backup" ] || [ -L "$backup" ]; then
        [ -f "$backup" ] && [ "$(sum_of "$backup")" = "$before" ] && return
        say "$backup is something else than the original of $path, and is not overwritten"
        return 1
    fi
    mkdir -p -- "${backup%/*}" && rm -f -- "$backup.part" || return
    if limited 10 cp -p -- "$path" "$backup.part" && [ "$(sum_of "$backup.part")" = "$before" ] &&
        is_as "$backup.part" && mv -f -T -- "$backup.part" "$backup"; then
        return
    fi
    rm -f -- "$backup.part"
    return 1
}

hold_of() { # number: set hold to the directory this run works in, beside the file: from there a rename is atomic
    if [ -n "$scratch" ]; then
        hold=$scratch/$1
    else
        hold=${path%/*}/.capacity-$id
    fi
}

drop_hold() { # number
    hold_of "$1"
    if [ -d "$hold" ] && [ ! -L "$hold" ]; then
        (enter_hold && rm -f -- "new-$1" "old-$1" "config-$1") 2>/dev/null || :
        rmdir -- "$hold" 2>/dev/null || :
    fi
}

clean_up() {
    [ "$locked" = 1 ] || return 0
    for_each_file drop_hold
    if [ -n "$scratch" ]; then
        rmdir -- "$scratch" 2>/dev/null || :
    fi
}

enter_hold() { # be in it, so that nobody can put another directory in its place
    if [ ! -d "$hold" ]; then
        mkdir -m 700 -- "$hold" || return # at once: a default ACL would open it until a chmod
    fi
    cd -P -- "$hold" && [ "$(pwd -P)" = "$hold" ] && [ -O . ] && chmod 700 .
}

stage() { # number: make the old and the new file, so that both ways are renames that need no more space
    hold_of "$1"
    original=$backup
    [ "$mode" = dry-run ] && original=$path
    (
        enter_hold && rm -f -- "old-$1" "new-$1" "config-$1" || exit
        limited 10 cp -p -- "$original" "old-$1" && limited 10 cp -p -- "$original" "new-$1" || exit
        "candidate_$1" "old-$1" >"new-$1" || exit
        [ "$(sum_of "old-$1")" = "$before" ] && [ "$(sum_of "new-$1")" = "$after" ] || exit
        is_as "old-$1" && is_as "new-$1" || exit
        sync "old-$1" "new-$1" 2>/dev/null || sync
    ) || {
        say "the candidate of $path could not be made (space? permissions?)"
        return 1
    }
}

on_line() { # file, offset, pattern: that what stands before it on its line is this name and an equals sign
    head -c "$2" -- "$1" | tail -n 1 | grep -Eiq "^[^A-Za-z0-9_]*(export[[:space:]]+)?$3[[:space:]]*=[[:space:]]*\$" && return
    say "at byte $2 of $path there is no value of its own: this plan was made by hand"
    return 1
}

keep() { # file, offset, length: these bytes of it
    tail -c "+$(($2 + 1))" <"$1" | head -c "$3"
}

swap() { # number: the new file takes the place of the old one
    look_at
    [ "$state" = after ] && return
    if [ "$state" != before ]; then
        say "$path $state"
        return 1
    fi
    hold_of "$1"
    (
        # -T: were there a link to a directory now, mv would go into it
        enter_hold && mv -f -T -- "new-$1" "../${path##*/}" || exit
        sync .. 2>/dev/null || :
    ) || {
        say "$path could not be replaced"
        return 1
    }
    look_at
    if [ "$state" != after ]; then
        say "$path $state: somebody else is at work"
        return 1
    fi
    say "changed $path"
}

put_back() { # number: the old file takes its place again
    look_at
    [ "$state" = before ] && return
    if [ "$state" != after ]; then
        say "$path $state: somebody else is at work, so it is left alone"
        return 1
    fi
    hold_of "$1"
    (
        enter_hold || exit
        if [ ! -f "old-$1" ] || [ "$(sum_of "old-$1")" != "$before" ]; then
            rm -f -- "old-$1" && cp -p -- "$backup" "old-$1" || exit
        fi
        [ "$(sum_of "old-$1")" = "$before" ] && is_as "old-$1" && mv -f -T -- "old-$1" "../${path##*/}" || exit
        sync .. 2>/dev/null || :
    ) || {
        say "$path could not be put back: the original is $backup"
        return 1
    }
    say "put back $path"
}

# ---------------------------------------------------------------- the host

need_file() { # path, sha256, permissions, owner, group: a file that is read, not written
    path=$1 before=$2 after=$2 permissions=$3 owner=$4 group=$5
    look_at
    [ "$state" = before ] || stale "$path $state"
}

is_trusted() { # path: whether nobody but root and us can change it, or put something else in its place
    case $1 in /*) ;; *) return 0 ;; esac # found along our own search path
    place=$(readlink -f -- "$1") || return
    while :; do
        facts=$(stat -c '%u %g %a' -- "$place") || return
        bits=${facts##* } facts=${facts% *}
        case ${facts% *} in 0 | "$(id -u)") ;; *) return 1 ;; esac
        case $bits in
        [1357]???) [ -d "$place" ] || return ;; # sticky: what is in it belongs to those who made it
        *[2367]) return 1 ;;
        *[2367]?) [ "${facts#* }" = 0 ] || [ "${facts#* }" = "$(id -g)" ] || return ;;
        esac
        [ "$place" = / ] && return
        place=${place%/*}
        place=${place:-/}
    done
}

trusts() { # program: as is_trusted, and tell
    is_trusted "$1" && return
    say "$1, and what is above it, must belong to root or to you, and not be writable by others: it is not run"
    return 1
}

need_version() { # binary, release
    case $({ trusts "$1" && limited 20 "$1" -v; } 2>/dev/null | head -n 1) in
    "PHP $2."*'(fpm-fcgi)'*) ;;
    *) stale "$1 is not PHP $2 any more" ;;
    esac
}

need_service() { # service, pid file, process names
    pid_of "$1" "$2" "$3" >/dev/null || stale "$1 is not active"
}

need_key() { # path, key: that it has a value; the value is nobody's business
    limited 10 grep -E "^[[:space:]]*(export[[:space:]]+)?$2[[:space:]]*=" -- "$1" | tail -n 1 |
        grep -Eq "=[[:space:]]*([\"'][^\"']|[^[:space:]#\"'])" ||
        stale "$2 is not set in $1"
}

need_extension() { # binary, extension
    (trusts "$1" && limited 20 "$1" -m) 2>/dev/null | grep -iqx -- "$2" || stale "$1 does not load the extension $2"
}

need_user() { # user: that this host knows it
    id -u -- "$1" >/dev/null 2>&1 || stale "$1 is no user of this host"
}

need_package() { # application, package
    [ -d "$1/vendor/$2" ] || stale "$2 is not in $1/vendor"
}

need_http() { # url, status
    answers "$1" "$2" 1 10 || stale "$1 answers ${got:-nothing} already before the change, not $2"
}

has_systemd() { [ -d "$systemd" ]; }

pid_of() { # service, pid file, process names: the main process, if it lives and is of that name
    if has_systemd; then
        systemctl is-active --quiet -- "$1" || return
        pid=$(systemctl show --property MainPID --value -- "$1") || return
    else
        [ -n "$2" ] && [ -f "$2" ] || return
        pid=$(limited 10 head -c 32 -- "$2") || return
    fi
    case $pid in '' | 0 | *[!0-9]*) return 1 ;; esac
    name=$(cat "/proc/$pid/comm" 2>/dev/null) || return
    # a worker has its master's name, but is its child
    parent=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$pid/status" 2>/dev/null)
    [ "$(cat "/proc/${parent:-0}/comm" 2>/dev/null)" != "$name" ] || return
    grep -q '^State:[[:space:]]*[ZX]' "/proc/$pid/status" 2>/dev/null && return 1 # dead, and nobody has buried it
    for known in $3; do
        if [ "$name" = "$known" ]; then
            printf '%s\n' "$pid"
            return
        fi
    done
    return 1
}

pause() { sleep 0.1 2>/dev/null || sleep 1; }

children_of() { cat "/proc/$1/task/$1/children" 2>/dev/null || :; }

old_ones_live() { # pid, old children: whether one of them is still a child
    now=" $(children_of "$1") "
    for child in $2; do
        case $now in *" $child "*) return ;; esac
    done
    return 1
}

# -k: while a rollback runs TERM is ignored, by what it starts as well
judge() { # seconds, binary, configuration: have FPM judge a configuration, and show what it says if it refuses
    trusts "$2" || return
    said=$(limited -k 5 "$1" "$2" -t -y "$3" 2>&1) && return
    # what a configuration says must not steer the terminal
    printf '%s\n' "$said" | tr -dc '[:print:]\n' 1>&2 2>/dev/null || :
    return 1
}

reload_fpm() { # start it as well? service, pid file, process names, seconds, start command
    may_start=$1 service=$2 pid_file=$3 names=$4 limit=$(($(date +%s) + $5))
    shift 5
    if ! pid=$(pid_of "$service" "$pid_file" "$names"); then
        say "$service is not running"
        [ "$may_start" = yes ] || return
        say "starting $service"
        if has_systemd; then
            systemctl restart -- "$service"
        else
            trusts "$1" && (umask "$mask" && "$@" </dev/null >/dev/null 2>&1 8<&- 9<&-)
        fi
        return
    fi
    say "reloading $service"
    old=$(children_of "$pid")
    if has_systemd; then
        systemctl reload -- "$service" || return
    else
        kill -s USR2 "$pid" || return
    fi
    while old_ones_live "$pid" "$old"; do
        if [ "$(date +%s)" -gt "$limit" ]; then
            say "$service still has workers from before the reload"
            return 1
        fi
        pause
    done
    # A configuration that fails ends FPM within moments of the reload.
    sleep 1
    pid_of "$service" "$pid_file" "$names" >/dev/null
}

is_active() { # service, pid file, process names, seconds
    limit=$(($(date +%s) + $4))
    until pid_of "$1" "$2" "$3" >/dev/null; do
        if [ "$(date +%s)" -ge "$limit" ]; then
            say "$1 is not active"
            return 1
        fi
        pause
    done
}

status_of() { # url, seconds
    if command -v curl >/dev/null; then
        curl -q -g -s --noproxy '*' -o /dev/null -w '%{http_code}' --max-time "$2" -- "$1"
    else
        once=''
        case $(wget --help 2>&1) in *--max-redirect*) once='--max-redirect=0 --tries=1 --no-proxy' ;; esac
        # shellcheck disable=SC2086 # several words, and of our own
        limited "$2" wget -q -S $once -O /dev/null -T "$2" -- "$1" 2>&1 | sed -n 's/^ *HTTP\/[0-9.]* \([0-9]*\).*/\1/p' | head -n 1
    fi
}

answers() { # url, status, attempts, seconds each: set got to the last answer
    attempt=1
    while :; do
        got=$(status_of "$1" "$4")
        [ "$got" != 000 ] || got='' # so curl says that there was no answer
        [ "$got" = "$2" ] && return
        [ "$attempt" -lt "$3" ] || break
        attempt=$((attempt + 1))
        sleep 1
    done
    return 1
}

must_answer() { # as answers, and tell
    answers "$@" && return
    say "$1 answers ${got:-nothing}, not $2"
    return 1
}

run_as() { # user, directory, seconds, command: what it prints may hold anything, so nothing of it is shown
    user=$1 directory=$2 seconds=$3
    shift 3
    say "running $* in $directory as $user"
    (
        cd -- "$directory" && umask "$mask" && trusts "$1" || exit
        # root runs nothing that others have written
        if [ "$user" = root ] || [ "$user" = 0 ]; then
            is_trusted "$directory/artisan" || exit
        fi
        if [ "$(id -un)" = "$user" ] || [ "$(id -u)" = "$user" ]; then
            timeout -k 5 "$seconds" "$@"
        else
            runuser -u "$user" -- timeout -k 5 "$seconds" "$@"
        fi
    ) </dev/null >/dev/null 2>&1 8<&- 9<&- || {
        say "$* failed in $directory as $user: run it by hand to see why"
        return 1
    }
}

# ---------------------------------------------------------------- the course of things

roll_back() {
    good=1
    for number in $files; do
        "file_$number"
        put_back "$number" || good=0
    done
    if [ "$good$reloaded" = 11 ]; then
        judge_all || good=0
    fi
    if [ "$good" = 1 ]; then
        carry_back
    fi
    if [ "$good" = 1 ] && [ "$reloaded$cached" != 00 ] && ! verify_restored; then
        say 'the files are as they were before, but the host is not well'
        good=0
    fi
    clean_up
    if [ "$good" = 1 ]; then
        rm -f -- "$started" "$applied"
    fi
    [ "$good" = 1 ]
}

check_tools() {
    for tool in $tools; do
        command -v "$tool" >/dev/null || refuse 2 "$tool is needed and not there"
    done
    if [ "$asks_http" = 1 ] && ! command -v curl >/dev/null && ! command -v wget >/dev/null; then
        refuse 2 'curl or wget is needed and not there'
    fi
}

main() {
    case ${1-}${2+ and more} in
    '') ;;
    --dry-run) mode=dry-run ;;
    --rollback) mode=rollback ;;
    *)
        usage
        [ "$*" = --help ] || exit 2
        exit 0
        ;;
    esac
    check_tools
    lock || refuse 7 'another run is at work here'
    locked=1
    if [ "$mode" = rollback ]; then
        trap '' HUP INT TERM
    else
        trap 'fail interrupted' HUP INT TERM
    fi
    if [ -f "$started" ]; then
        resumed=1
    fi
    is_stale=0 count_before=0 count_after=0
    for_each_file survey
    if [ "$is_stale$mode" = 1rollback ]; then
        refuse 4 "somebody has changed the files since; nothing was changed. The originals are below $store"
    fi
    [ "$is_stale" = 0 ] || refuse 4 'this host is not the one the plan was made for any more; nothing was changed'

    if [ "$mode" = rollback ]; then
        if [ "$count_after" = 0 ] && [ "$resumed" = 0 ]; then
            refuse 0 'nothing to undo: the files are as they were before the plan'
        fi
        changed=1 reloaded=1 cached=1
        # so that a rollback that is cut off is not taken for one that is done
        mark "$started" || refuse 6 "$store cannot be written to"
        roll_back || {
            say "the rollback failed: the originals are below $store"
            exit 6
        }
        say 'rolled back: everything is as it was before'
        exit 0
    fi

    if [ "$count_before" != 0 ] && [ "$count_after" != 0 ] && [ "$resumed" = 0 ]; then
        refuse 4 "somebody has put back a part of it: undo the rest first, with sh $0 --rollback"
    fi
    if [ "$count_before" = 0 ] && [ -f "$applied" ]; then
        say 'already applied'
        for_each_file drop_hold
        rm -f -- "$started"
        verify && exit 0
        say 'the plan is carried out, but the host is not well'
        exit 5
    fi
    need_all
    if [ "$count_after$resumed" = 00 ]; then
        # of a run that was cut off these may be what is to be repaired
        need_running
    fi
    if [ "$is_stale" = 1 ] && [ "$count_after$resumed" != 00 ]; then
        refuse 4 "an earlier run was cut off, and this host is not as the plan wants it: undo it with sh $0 --rollback"
    fi
    [ "$is_stale" = 0 ] || refuse 4 'this host is not as the plan wants it; nothing was changed'
    describe

    if [ "$mode" = dry-run ]; then
        scratch=$(mktemp -d) || refuse 1 'no temporary directory could be made'
        scratch=$(cd -P -- "$scratch" && pwd -P)
        for_each_file stage || fail 'a candidate could not be made'
        judge_candidates || fail 'php-fpm -t refuses the candidate'
        judge_all || fail 'php-fpm -t refuses the configuration as it stands'
        clean_up
        say 'dry run: every condition holds and php-fpm accepts the configuration; nothing was changed'
        exit 0
    fi

    make_store || fail 'there is no place for backups'
    for_each_file back_up || fail 'a backup could not be made'
    for_each_file drop_hold
    for_each_file stage || fail 'a candidate could not be made'
    judge_candidates || fail 'php-fpm -t refuses the candidate'
    need_all
    [ "$is_stale" = 0 ] || fail 'this host has changed meanwhile'
    judge_all || fail 'php-fpm -t refuses the configuration as it stands'
    { rm -f -- "$applied" && mark "$started"; } || fail "$store cannot be written to"
    changed=1
    for_each_file swap || fail 'a file could not be replaced'
    judge_all || fail 'php-fpm -t refuses the configuration'
    carry_on
    verify || fail 'the host is not well after the change'
    mark "$applied" || fail "$store cannot be written to"
    rm -f -- "$started"
    clean_up
    say "applied; to undo it: sh $0 --rollback"
    remind
}

main "$@"


# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Bash splits words at = and : as well. So the word that is completed is cut out of the line, and of
# the proposals goes what bash holds to be a word before it. Needs nothing of bash-completion.
_vpcflowd()
{
	local line=${COMP_LINE:0:COMP_POINT} words kind='' proposals='' kept='' mark head='' typed=''
	local cur=${line##*[[:space:]]}
	local value=$cur
	read -ra words <<<"${line%"$cur"}"
	if [[ $cur == --*=* ]]; then
		kept=${cur%%=*}= value=${cur#*=}
		_vpcflowd_value "${cur%%=*}"
	else
		_vpcflowd_value "${words[@]: -1}"
		[[ -n $kind || $cur == -* || " ${words[*]} " != *' --read '* ]] || kind='file'
	fi
	if [[ $kind == output && $value == *:* ]]; then
		kept+=${value%%:*}: value=${value#*:} kind=file proposals='tcp:// tls:// udp://'
	elif [[ $kind == list ]]; then
		kept+=${value%"${value##*,}"} value=${value##*,}
	fi
	case $kind in
	other) COMPREPLY=() ;;
	file)
		mapfile -t COMPREPLY < <(compgen ${value:+-W "$proposals"} -f -- "$value")
		compopt -o filenames 2>/dev/null
		;;
	folder)
		mapfile -t COMPREPLY < <(compgen -d -- "$value")
		compopt -o filenames 2>/dev/null
		;;
	*) mapfile -t COMPREPLY < <(compgen -W "$proposals" -- "$value") ;;
	esac
	if [[ $kind == output || $kind == list || ${COMPREPLY[*]} == *:// ]]; then
		compopt -o nospace 2>/dev/null
	fi
	for mark in : =; do
		head=${cur%"${cur##*"$mark"}"}
		[[ $COMP_WORDBREAKS != *"$mark"* || ${#head} -le ${#typed} ]] || typed=$head
	done
	COMPREPLY=("${COMPREPLY[@]/#/"$kept"}")
	COMPREPLY=("${COMPREPLY[@]#"$typed"}")
}
complete -F _vpcflowd vpcflowd

#compdef vpcflowd
# SPDX-License-Identifier: Apache-2.0
# Completion of vpcflowd's command line in zsh.

# FORMAT[:DEST]; the formats are the arguments.
_vpcflowd_output()
{
	if compset -P 1 '*:'; then
		_files
		compadd -S '' -- tcp:// tls:// udp://
	else
		compadd -S '' -- "$@"
	fi
}


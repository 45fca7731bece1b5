# SPDX-License-Identifier: Apache-2.0
# Installs what names or depends on the prefix: systemd's units, the configuration, which stays as it
# is when there is one, and zsh's completion. Run by cmake --install and cpack; CMake fills in what
# stands between @.
set(prefix "${CMAKE_INSTALL_PREFIX}")
cmake_path(ABSOLUTE_PATH prefix NORMALIZE)
set(program "@CMAKE_INSTALL_SBINDIR@/vpcflowd")
cmake_path(ABSOLUTE_PATH program BASE_DIRECTORY "${prefix}")

# Where systemd, and zsh, look: /usr and /usr/local have /etc, /opt/NAME has /etc/opt/NAME (FHS 3.0).
set(units "${prefix}/lib/systemd/system")
set(config "${prefix}/etc/vpcflowd.json")
set(zsh site-functions)
if(prefix STREQUAL "/usr")
  set(zsh vendor-completions)
  if(NOT "@systemd_units@" STREQUAL "")
    set(units "@systemd_units@")
  endif()
endif()
if(prefix MATCHES "^/usr(/local)?$")
  set(config /etc/vpcflowd.json)
elseif(prefix MATCHES "^/opt/")
  set(config "/etc${prefix}/vpcflowd.json")
endif()
if(NOT "@VPCFLOWD_UNITS@" STREQUAL "")
  set(units "@VPCFLOWD_UNITS@")
  cmake_path(ABSOLUTE_PATH units BASE_DIRECTORY "${prefix}")
endif()
if(NOT "@VPCFLOWD_CONFIGURATION@" STREQUAL "")
  set(config "@VPCFLOWD_CONFIGURATION@")
endif()

# A folder of its own for each prefix, as they may be installed side by side.
string(SHA1 made "${program} ${config}")
set(made "@made@/units-${made}")
file(READ "@sources@/scripts/vpcflowd.service" unit)
string(REPLACE "/usr/sbin/vpcflowd" "${program}" unit "${unit}")
string(REPLACE "/etc/vpcflowd.json" "${config}" unit "${unit}")
file(WRITE "${made}/vpcflowd.service" "${unit}")
file(INSTALL "${made}/vpcflowd.service" "@sources@/scripts/vpcflowd.socket" DESTINATION "${units}")
file(REMOVE_RECURSE "${made}")

if(NOT EXISTS "$ENV{DESTDIR}${config}")
  cmake_path(GET config PARENT_PATH folder)
  cmake_path(GET config FILENAME name)
  file(INSTALL DESTINATION "${folder}" TYPE FILE RENAME "${name}"
    FILES "@sources@/scripts/vpcflowd.json")
endif()
file(INSTALL "@made@/_vpcflowd" DESTINATION "${prefix}/@CMAKE_INSTALL_DATADIR@/zsh/${zsh}")

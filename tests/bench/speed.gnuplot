# SPDX-License-Identifier: Apache-2.0
# Two charts of bars that lie, from stages.dat and listeners.dat in `folder`, into speed.svg beside them.
stats folder."/listeners.dat" using 2 name "LISTENERS" nooutput
set terminal svg size 900,640 dynamic font "Helvetica,14"
set output folder."/speed.svg"
set multiplot layout 2,1
set lmargin 30
set rmargin 14
set border 1
set tics nomirror scale 0
set grid xtics linetype 1 linewidth 0.5 linecolor rgb "#a0a0a0a0"
set style fill solid 1.0 noborder

half = 0.33

set title "CPU time an event, in memory (gzip payloads of 10,000 version 2 events)"
set xlabel "nanoseconds" offset 0,0.4
set yrange [5.6:-0.6]
set xrange [0:*]
set ytics offset 0.5,0
set key outside right center Left reverse samplen 1.2
plot folder."/stages.dat" using 2:0:(0):2:($0-half):($0+half):ytic(1) with boxxyerror linecolor rgb "#4c8dd6" title "inflating", \
	"" using 2:0:2:($2+$3):($0-half):($0+half) with boxxyerror linecolor rgb "#3fa66b" title "JSON", \
	"" using ($2+$3):0:($2+$3):($2+$3+$4):($0-half):($0+half) with boxxyerror linecolor rgb "#d9a02b" title "parsing", \
	"" using ($2+$3+$4):0:($2+$3+$4):($2+$3+$4+$5):($0-half):($0+half) with boxxyerror linecolor rgb "#cc5a71" title "encoding", \
	"" using ($2+$3+$4+$5):0:(sprintf("%.0f", $2+$3+$4+$5)) with labels left offset 0.5,0 notitle

set title "Flows a second, received over loopback on one core"
set xlabel "million flows/s"
set yrange [LISTENERS_records-0.4:-0.6]
set xrange [0:*]
unset key
plot folder."/listeners.dat" using 2:0:(0):2:($0-half):($0+half):(strstrt(strcol(1), "vpcflowd") ? 0x4c8dd6 : 0x8a8f98):ytic(1) with boxxyerror linecolor rgb variable, \
	"" using 2:0:($2 < 0.1 ? sprintf("%.3f", $2) : sprintf("%.2f", $2)) with labels left offset 0.5,0
unset multiplot

// SPDX-License-Identifier: Apache-2.0
// Sets of milliseconds as lists of half-open intervals [from, to), in order and apart from each other.

/** list, and [from, to) as well. */
export function add(list, [from, to]) {
	if (from >= to) return list;
	const apart = list.filter(([a, b]) => b < from || a > to);
	const met = list.filter(([a, b]) => !(b < from || a > to));
	apart.push([Math.min(from, ...met.map(([a]) => a)), Math.max(to, ...met.map(([, b]) => b))]);
	return apart.sort(([a], [b]) => a - b);
}

/** What of [from, to) is not in list. */
export function missing(list, [from, to]) {
	const gaps = [];
	let at = from;
	for (const [a, b] of list) {
		if (b <= at) continue;
		if (a >= to) break;
		if (a > at) gaps.push([at, a]);
		at = b;
	}
	if (at < to) gaps.push([at, to]);
	return gaps;
}

export const holds = (list, at) => list.some(([a, b]) => a <= at && at < b);

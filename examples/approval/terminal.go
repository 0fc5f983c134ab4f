package main

import "strconv"

// printable returns a user's text in a form that is safe for a terminal. Text
// with characters that do not print, such as ESC, a line break or a
// bidirectional override, is quoted. Such characters can rewrite the screen.
func printable(s string) string {
	if quoted := strconv.Quote(s); quoted != `"`+s+`"` {
		return quoted
	}
	return s
}

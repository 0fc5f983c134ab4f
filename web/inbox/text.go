package inbox

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// markup matches the beginning of an HTML tag, comment or declaration.
var markup = regexp.MustCompile(`<[A-Za-z/!?]`)

// hides reports whether a character can make text look like other text. Such
// characters are control characters, and characters that override the direction
// of text.
func hides(r rune) bool {
	switch {
	case r == '\n' || r == '\t':
		return false
	case unicode.IsControl(r), r == '\u2028', r == '\u2029', r == '\ufeff':
		return true
	}
	return r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}

// visible replaces the characters that hides reports with their codes, so that
// pages can show any text.
func visible(s string) string {
	if !strings.ContainsFunc(s, hides) && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(s, "\ufffd") {
		if hides(r) {
			fmt.Fprintf(&b, "[U+%04X]", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// checkText returns the problem of text that the application or a person wrote
// for others, or "".
func checkText(s string, most int, lines bool) string {
	switch {
	case !utf8.ValidString(s):
		return "must be UTF-8"
	case utf8.RuneCountInString(s) > most:
		return fmt.Sprintf("must be at most %d characters, got %d", most, utf8.RuneCountInString(s))
	case !lines && strings.ContainsAny(s, "\n\r"):
		return "must be one line"
	case strings.ContainsFunc(s, hides):
		return "must not have control characters or characters that override the direction of text"
	default:
		return ""
	}
}

// newlines returns the text of a form with Go's line ends.
func newlines(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
}

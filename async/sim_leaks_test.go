package async

import (
	"strings"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

const (
	// simToken is the beginning of every task token. simSecret is the beginning
	// of every value of a payload.
	simToken  = "token-"
	simSecret = "value-"

	// simListens says how often the test reads all logs and returned errors,
	// which is slow: in one of simListens histories.
	simListens = 10
)

// simLog checks the log lines of the hubs.
type simLog struct{ w *simWorld }

func (l simLog) Write(line []byte) (int, error) {
	l.w.shown("a log line", string(line))
	return len(line), nil
}

func (w *simWorld) shownError(of string, err error) {
	if w.listens && err != nil {
		w.shown("the error of "+of, err.Error())
	}
}

// shown checks text that people may read.
func (w *simWorld) shown(what, text string) {
	if strings.Contains(text, simToken) {
		w.violate("G7", "%s has a token", what)
	}
	if strings.Contains(text, simSecret) {
		w.violate("G7", "%s has a payload", what)
	}
	ids := strings.FieldsFunc(text, func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r == '-' || r == '_')
	})
	for _, id := range ids {
		if len(id) >= record.KeyedCallbackIDLen {
			w.violate("G7", "%s has a whole callback ID", what)
		}
	}
}

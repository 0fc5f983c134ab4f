// Package observability_test compares the dashboard and the alert rules with
// the code and docs/observability.md.
package observability_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// promtool returns the path of Prometheus's tool, which is in Debian's package
// prometheus.
func promtool(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err == nil {
		return path
	}
	if os.Getenv("LATCHKEY_REQUIRE_SERVERS") == "1" {
		t.Fatal("LATCHKEY_REQUIRE_SERVERS is 1, and promtool is not installed")
	}
	t.Skip("NOT TESTED: the alert rules, because promtool is not installed")
	return ""
}

func run(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", strings.Join(args[1:], " "), err, out)
	}
}

// TestAlerts runs the alert rules on recorded series.
func TestAlerts(t *testing.T) {
	tool := promtool(t)
	run(t, tool, "check", "rules", "alerts.yml")
	run(t, tool, "test", "rules", "alerts_test.yml")
}

// TestEachAlertIsTested: each rule fires in one of the recorded series, and is
// in the documentation.
func TestEachAlertIsTested(t *testing.T) {
	rules, tests, page := read(t, "alerts.yml"), read(t, "alerts_test.yml"), read(t, "../observability.md")
	names := regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(rules, -1)
	if len(names) < 9 {
		t.Errorf("alerts.yml has %d rules, want at least 9", len(names))
	}
	for _, m := range names {
		if !regexp.MustCompile(`alertname: ` + m[1] + `\n\s+exp_alerts:\n\s+- exp_labels`).MatchString(tests) {
			t.Errorf("no recorded series makes %s fire", m[1])
		}
		if !strings.Contains(page, "| `"+m[1]+"` |") {
			t.Errorf("docs/observability.md lacks %s", m[1])
		}
	}
}

// dashboard has the fields of Grafana's format that the test needs.
type dashboard struct {
	Panels []struct {
		Title   string
		Targets []struct{ Expr string }
	}
}

func queries(t *testing.T) map[string]string {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(read(t, "dashboard.json")), &d); err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, p := range d.Panels {
		if len(p.Targets) == 0 {
			t.Errorf("the panel %q has no query", p.Title)
		}
		for i, q := range p.Targets {
			all[fmt.Sprintf("%s %d", p.Title, i)] = q.Expr
		}
	}
	if len(all) < 12 {
		t.Errorf("the dashboard has %d queries, want at least 12", len(all))
	}
	return all
}

// TestDashboardQueriesParse passes every query to Prometheus's own parser.
func TestDashboardQueriesParse(t *testing.T) {
	tool := promtool(t)
	var rules strings.Builder
	rules.WriteString("groups:\n  - name: dashboard\n    rules:\n")
	variables := strings.NewReplacer("$__rate_interval", "5m", "$__range", "24h", "$activity_type", ".*")
	n := 0
	for _, q := range queries(t) {
		n++
		fmt.Fprintf(&rules, "      - {record: query_%d, expr: %q}\n", n, variables.Replace(q))
	}
	file := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, tool, "check", "rules", file)
}

// TestQueriesNameInstruments: each metric in a query is an instrument of the
// documentation, and gauges are not summed over replicas.
func TestQueriesNameInstruments(t *testing.T) {
	known := map[string]bool{"latchkey_objective_seconds": true, "latchkey_link_key_drop_timestamp_seconds": true} // the application's
	for _, m := range regexp.MustCompile("(?m)^\\| `(latchkey[a-z.]+)` \\| (counter|timer, s|gauge|gauge, s) \\|").FindAllStringSubmatch(read(t, "../observability.md"), -1) {
		name := strings.ReplaceAll(m[1], ".", "_")
		switch m[2] {
		case "counter":
			known[name+"_total"] = true
		case "timer, s":
			known[name+"_seconds_bucket"] = true
		case "gauge":
			known[name] = true
		default:
			known[name+"_seconds"] = true
		}
	}
	all := queries(t)
	for i, m := range regexp.MustCompile(`(?m)expr: (.*)$`).FindAllStringSubmatch(read(t, "alerts.yml"), -1) {
		all[fmt.Sprint("rule ", i+1)] = m[1]
	}
	for where, q := range all {
		for _, name := range regexp.MustCompile(`latchkey_[a-z_]+`).FindAllString(q, -1) {
			if !known[name] {
				t.Errorf("%s: %s is no instrument of docs/observability.md", where, name)
			}
		}
		for _, gauge := range []string{"latchkey_entries", "latchkey_oldest", "latchkey_unreadable"} {
			if strings.Contains(q, gauge) && !strings.HasPrefix(q, "max") {
				t.Errorf("%s does not aggregate %s with max, which each replica reports for the whole store: %s", where, gauge, q)
			}
		}
	}
}

// TestInstrumentsAreDocumented: the code has exactly the instruments of the
// documentation.
func TestInstrumentsAreDocumented(t *testing.T) {
	documented := make(map[string]bool)
	for _, m := range regexp.MustCompile("(?m)^\\| `(latchkey[a-z.]+)` \\|").FindAllStringSubmatch(read(t, "../observability.md"), -1) {
		documented[m[1]] = true
	}
	found := make(map[string]bool)
	for _, file := range []string{"../../async/metrics.go", "../../otel/instruments.go"} {
		for _, m := range regexp.MustCompile(`"(latchkey\.[a-z.]+)"`).FindAllStringSubmatch(read(t, file), -1) {
			if found[m[1]] = true; !documented[m[1]] {
				t.Errorf("%s of %s is not in docs/observability.md", m[1], file)
			}
		}
	}
	for name := range documented {
		if !found[name] && !strings.HasPrefix(name, "latchkey.handoff") && !strings.HasPrefix(name, "latchkey.settle") && !strings.HasPrefix(name, "latchkey.deliver") {
			t.Errorf("no code has %s of docs/observability.md", name)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

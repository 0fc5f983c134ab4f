package devserver_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/latchkey-go/latchkey/examples/internal/devserver"
)

// setenv sets the relevant variables in env, and removes the others. The SDK
// treats an empty variable differently from a missing one.
func setenv(t *testing.T, env map[string]string) {
	t.Helper()
	for _, name := range []string{"PATH", fakeArgsFile} {
		if env[name] != "" {
			t.Setenv(name, env[name])
		}
	}
	for _, name := range []string{"LATCHKEY_SERVER", "TEMPORAL_ADDRESS", "TEMPORAL_PROFILE", "TEMPORAL_CONFIG_FILE", "TEMPORAL_NAMESPACE"} {
		t.Setenv(name, env[name]) // t.Setenv restores the variable after the test
		if env[name] == "" {
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestFromEnv(t *testing.T) {
	file := filepath.Join(t.TempDir(), "temporal.toml")
	if err := os.WriteFile(file, []byte("[profile.elsewhere]\naddress = \"elsewhere.test:7233\"\nnamespace = \"there\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		env                map[string]string
		found, fails       bool
		address, namespace string
	}{
		"nothing":         {},
		"namespace only":  {env: map[string]string{"TEMPORAL_NAMESPACE": "ours"}},
		"address":         {env: map[string]string{"TEMPORAL_ADDRESS": "here.test:1", "TEMPORAL_NAMESPACE": "ours"}, found: true, address: "here.test:1", namespace: "ours"},
		"profile":         {env: map[string]string{"TEMPORAL_CONFIG_FILE": file, "TEMPORAL_PROFILE": "elsewhere"}, found: true, address: "elsewhere.test:7233", namespace: "there"},
		"address over it": {env: map[string]string{"TEMPORAL_CONFIG_FILE": file, "TEMPORAL_PROFILE": "elsewhere", "TEMPORAL_ADDRESS": "here.test:1"}, found: true, address: "here.test:1", namespace: "there"},
		"no such profile": {env: map[string]string{"TEMPORAL_CONFIG_FILE": file, "TEMPORAL_PROFILE": "nonesuch"}, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t, c.env)
			o, found, err := devserver.FromEnv()
			if found != c.found || (err != nil) != c.fails || o.HostPort != c.address || o.Namespace != c.namespace {
				t.Errorf("got %q %q, found %v, error %v; want %q %q, found %v, an error: %v",
					o.HostPort, o.Namespace, found, err, c.address, c.namespace, c.found, c.fails)
			}
		})
	}
}

// A server that the environment names is used, and not stopped.
func TestConnect(t *testing.T) {
	running := start(t, devserver.Options{})
	setenv(t, map[string]string{"TEMPORAL_ADDRESS": running.HostPort()})
	o, stop, err := devserver.Connect(t.Context(), devserver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if o.HostPort != running.HostPort() {
		t.Errorf("connected to %s, want the environment's %s", o.HostPort, running.HostPort())
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	dial(t, running)

	setenv(t, map[string]string{"LATCHKEY_SERVER": devserver.Built})
	o, stop, err = devserver.Connect(t.Context(), devserver.Options{Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	if o.HostPort == running.HostPort() || !listens(o.HostPort) {
		t.Errorf("connected to %s, want a server of our own", o.HostPort)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if listens(o.HostPort) {
		t.Error("the server of our own still listens after stop")
	}
}

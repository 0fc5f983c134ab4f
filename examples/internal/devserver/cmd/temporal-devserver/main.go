//go:build !race

// Command temporal-devserver is a Temporal server of one node on SQLite, for
// examples and tests.
//
// Package devserver builds the program, runs it as a child process and ends it
// by closing its standard input. The server thus never outlives the process
// that started it. The server binds only 127.0.0.1, and prints "ready" and its
// address when its namespaces can be used. After that line, the server collects
// its garbage for each line that it reads, and prints "collected".
//
// It is built without the race detector. "go test -race ./..." leaves it out,
// because it would compile the whole server for no use.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/membership/static"
	sqliteplugin "go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/schema/sqlite"
	"go.temporal.io/server/temporal"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// readyWithin is the time limit for a started server to become ready.
const readyWithin = 5 * time.Minute

func main() {
	var (
		addresses  = flag.String("addresses", "", "Required. host:port of frontend, history, matching and worker, in this order, separated by commas.")
		database   = flag.String("database", "", "File that keeps the data; created where it is absent. Defaults to memory.")
		namespaces = flag.String("namespaces", "default", "Namespaces to have, separated by commas.")
		dynamic    = flag.String("dynamic", "{}", "Dynamic configuration: a JSON object.")
		level      = flag.String("log", "error", "Level of the log on standard error.")
	)
	flag.Parse()
	if err := run(strings.Split(*addresses, ","), *database, strings.Split(*namespaces, ","), *dynamic, *level); err != nil {
		fmt.Fprintln(os.Stderr, "temporal-devserver:", err)
		os.Exit(1)
	}
}

func run(addresses []string, database string, namespaces []string, dynamic, level string) error {
	cfg, hosts, err := configure(addresses, database)
	if err != nil {
		return err
	}
	if err := prepare(cfg, namespaces); err != nil {
		return err
	}
	values, err := dynamicConfig(dynamic)
	if err != nil {
		return err
	}
	logger, err := newLogger(level)
	if err != nil {
		return err
	}
	server, err := temporal.NewServer(
		temporal.WithConfig(cfg),
		temporal.ForServices(services),
		temporal.WithStaticHosts(hosts),
		temporal.WithDynamicConfigClient(values),
		temporal.WithLogger(logger),
	)
	if err != nil {
		return err
	}

	// Ctrl-C reaches the whole process group, but the parent still needs its
	// server for an orderly shutdown.
	signal.Ignore(os.Interrupt)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() { // The goroutine ends with the process.
		defer stop()
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			runtime.GC()
			fmt.Println("collected")
		}
	}()
	if err := server.Start(); err != nil {
		return err
	}
	err = serving(ctx, addresses[0], namespaces)
	if err == nil {
		fmt.Println("ready", addresses[0])
		<-ctx.Done()
	}
	return errors.Join(err, server.Stop())
}

// services are the services that run. The internal worker serves schedules,
// batches and the deletion of namespaces. The internal worker is left out,
// because it polls all the time and no test needs it.
var services = []string{
	string(primitives.FrontendService), string(primitives.HistoryService), string(primitives.MatchingService),
}

// configure returns the configuration of the server. Metrics, pprof, HTTP and
// membership have no port.
func configure(addresses []string, database string) (*config.Config, map[primitives.ServiceName]static.Hosts, error) {
	names := []primitives.ServiceName{
		primitives.FrontendService, primitives.HistoryService, primitives.MatchingService, primitives.WorkerService,
	}
	if len(addresses) != len(names) {
		return nil, nil, fmt.Errorf("-addresses: %d of them, want %d", len(addresses), len(names))
	}
	rpc := make(map[string]config.Service)
	hosts := make(map[primitives.ServiceName]static.Hosts)
	for i, name := range names {
		host, port, err := net.SplitHostPort(addresses[i])
		if err != nil {
			return nil, nil, err
		}
		number, err := strconv.Atoi(port)
		if err != nil {
			return nil, nil, err
		}
		rpc[string(name)] = config.Service{RPC: config.RPC{GRPCPort: number, BindOnIP: host}}
		hosts[name] = static.SingleLocalHost(addresses[i])
	}

	attributes := map[string]string{"mode": "memory", "cache": "shared"}
	if database != "" {
		attributes = map[string]string{"mode": "rwc", "setup": "true", "journal_mode": "wal", "synchronous": "full"}
	} else {
		database = "temporal"
	}
	const name = "active"
	return &config.Config{
		Persistence: config.Persistence{
			DefaultStore:     sqliteplugin.PluginName,
			VisibilityStore:  sqliteplugin.PluginName,
			NumHistoryShards: 1,
			DataStores: map[string]config.DataStore{sqliteplugin.PluginName: {SQL: &config.SQL{
				PluginName:        sqliteplugin.PluginName,
				DatabaseName:      database,
				ConnectAttributes: attributes,
			}}},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10,
			MasterClusterName:        name,
			CurrentClusterName:       name,
			ClusterInformation: map[string]cluster.ClusterInformation{
				name: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: addresses[0]},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		Services:            rpc,
		Archival: config.Archival{
			History:    config.HistoryArchival{State: "disabled"},
			Visibility: config.VisibilityArchival{State: "disabled"},
		},
		NamespaceDefaults: config.NamespaceDefaults{Archival: config.ArchivalNamespaceDefaults{
			History:    config.HistoryArchivalNamespaceDefaults{State: "disabled"},
			Visibility: config.VisibilityArchivalNamespaceDefaults{State: "disabled"},
		}},
		PublicClient: config.PublicClient{HostPort: addresses[0]},
	}, hosts, nil
}

// prepare creates the missing namespaces. The first connection creates the
// schema.
func prepare(cfg *config.Config, namespaces []string) error {
	var list []*sqlite.NamespaceConfig
	for _, name := range namespaces {
		ns, err := sqlite.NewNamespaceConfig(cfg.ClusterMetadata.CurrentClusterName, name, false, nil)
		if err != nil {
			return err
		}
		list = append(list, ns)
	}
	return sqlite.CreateNamespaces(cfg.Persistence.DataStores[sqliteplugin.PluginName].SQL, list...)
}

// newLogger writes lines without stack traces. A parent that keeps only the
// last lines then keeps the reason of a failure.
func newLogger(level string) (log.Logger, error) {
	threshold, err := zapcore.ParseLevel(level)
	if err != nil {
		return nil, fmt.Errorf("-log: %w", err)
	}
	encoder := zapcore.NewConsoleEncoder(zap.NewProductionEncoderConfig())
	return log.NewZapLogger(zap.New(zapcore.NewCore(encoder, zapcore.Lock(os.Stderr), threshold))), nil
}

// dynamicConfig reads a JSON object. Whole numbers become int, because the
// server does not accept a float for them.
func dynamicConfig(document string) (dynamicconfig.StaticClient, error) {
	d := json.NewDecoder(strings.NewReader(document))
	d.UseNumber()
	var values map[string]any
	if err := d.Decode(&values); err != nil {
		return nil, fmt.Errorf("-dynamic: %w", err)
	}
	settings := make(dynamicconfig.StaticClient)
	for key, value := range values {
		if n, ok := value.(json.Number); ok {
			if whole, err := strconv.Atoi(n.String()); err == nil {
				value = whole
			} else if value, err = n.Float64(); err != nil {
				return nil, fmt.Errorf("-dynamic: %s: %w", key, err)
			}
		}
		settings[dynamicconfig.MakeKey(key)] = value
	}
	return settings, nil
}

// serving waits until the server knows each of the namespaces.
func serving(ctx context.Context, address string, namespaces []string) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	c, err := client.NewLazyClient(client.Options{HostPort: address, Logger: sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	if err != nil {
		return err
	}
	defer c.Close()
	for _, name := range namespaces {
		if _, err := c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: name}); err != nil {
			return fmt.Errorf("namespace %s: %w", name, err)
		}
	}
	return nil
}

package completer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync/atomic"

	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
)

// identitySuffix ends the identity of every call. A close event with this
// suffix was written for an outcome of Latchkey.
const identitySuffix = "/latchkey"

// Client is a connection to one namespace.
type Client struct {
	// Client is the value that client.Dial, client.NewLazyClient or
	// client.NewClientFromExisting returned, without a wrapper. The application
	// closes Client after its hubs have stopped. Required.
	Client client.Client

	// Options are the options with which Client was dialled: namespace,
	// converters, external storage, identity. The completer applies
	// ConfigureClient of the Plugins to a copy of the Options. Defaults to the
	// SDK's defaults.
	Options client.Options
}

// New returns a Completer that reports to Temporal through one client for each
// namespace. New makes no call to Temporal. All clients must have the same
// converters, because a hub encodes an outcome once.
//
// Hubs that share a store should have clients for the same namespaces. A hub
// leaves a namespace for which it has no client, or no permission, to other
// hubs. Such a namespace costs the hub extra work for each entry of the
// namespace. Applications that share no namespace should not share a store.
//
// The completer sends the hub's encoded outcome unchanged. The completer uses
// clients of its own, which share the connections of the given clients; the
// application's clients would run a codec a second time. The identity of these
// clients is the application's identity followed by "/latchkey".
//
// The Completer also implements [Converting].
func New(clients ...Client) (Completer, error) {
	if len(clients) == 0 {
		return nil, errors.New("completer: New needs a client")
	}
	cc := new(clientCompleter)
	for i, c := range clients {
		n, data, failure, err := newNamespaceClient(c)
		if err != nil {
			return nil, fmt.Errorf("completer: New: client %d: %w", i, err)
		}
		if i > 0 && !cc.convertsAs(data, failure) {
			return nil, fmt.Errorf("completer: New: the client for namespace %q has other converters than the one before: give it a completer and a hub of its own", n.namespace)
		}
		cc.data, cc.failure = data, failure
		if !cc.clients.add(n) {
			return nil, fmt.Errorf("completer: New: two clients for namespace %q", n.namespace)
		}
	}
	return cc, nil
}

type clientCompleter struct {
	clients namespaces
	data    converter.DataConverter
	failure converter.FailureConverter
	lookups lookups
}

var _ Converting = (*clientCompleter)(nil)

// Converters returns the converters of the clients.
func (cc *clientCompleter) Converters() (converter.DataConverter, converter.FailureConverter) {
	return cc.data, cc.failure
}

// convertsAs reports whether these converters are equal to the completer's.
func (cc *clientCompleter) convertsAs(data converter.DataConverter, failure converter.FailureConverter) bool {
	return reflect.DeepEqual(cc.data, data) && reflect.DeepEqual(cc.failure, failure)
}

// namespaceClient derives its client at the first use. Deriving calls the
// server, and an application must be able to start while the server is away.
type namespaceClient struct {
	namespace string
	base      client.Client
	options   client.Options // options of the derived client
	derived   atomic.Pointer[client.Client]
}

func newNamespaceClient(c Client) (*namespaceClient, converter.DataConverter, converter.FailureConverter, error) {
	if c.Client == nil {
		return nil, nil, nil, errors.New("Client.Client is required")
	}
	o := c.Options
	for _, p := range o.Plugins {
		if err := p.ConfigureClient(context.Background(), client.PluginConfigureClientOptions{ClientOptions: &o}); err != nil {
			return nil, nil, nil, fmt.Errorf("plugin %s: %w", p.Name(), err)
		}
	}
	if o.Namespace == "" {
		o.Namespace = client.DefaultNamespace
	}
	data, failure := o.DataConverter, o.FailureConverter
	if data == nil {
		data = converter.GetDefaultDataConverter()
	}
	if failure == nil {
		failure = temporal.GetDefaultFailureConverter()
	}
	if o.Identity == "" {
		host, _ := os.Hostname()
		o.Identity = fmt.Sprintf("%d@%s", os.Getpid(), host)
	}
	o.Identity += identitySuffix
	o.DataConverter = converter.GetDefaultDataConverter()
	o.FailureConverter = asStored{temporal.GetDefaultFailureConverter()}
	// The plugins have been applied, and no interceptor sees a completion.
	o.Plugins, o.Interceptors = nil, nil
	n := &namespaceClient{namespace: o.Namespace, base: c.Client, options: o}

	// The context has ended, so no request is sent. If no other client can be
	// derived from this one, the application learns it now and not when an
	// answer is due.
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := n.client(ended); err != nil && !isEnded(err) {
		return nil, nil, nil, err
	}
	return n, data, failure, nil
}

func isEnded(err error) bool {
	return errors.Is(err, context.Canceled) || is[*serviceerror.Canceled](err)
}

func (n *namespaceClient) client(ctx context.Context) (client.Client, error) {
	if c := n.derived.Load(); c != nil {
		return *c, nil
	}
	c, err := client.NewClientFromExistingWithContext(ctx, n.base, n.options)
	if err != nil {
		return nil, err
	}
	// The last client of a connection closes the connection. This client gives
	// up its share, so that the application's own Close closes the connection.
	c.Close()
	n.derived.Store(&c)
	return c, nil
}

// clientFor returns the client for the target's namespace.
func (cc *clientCompleter) clientFor(ctx context.Context, t Target) (*namespaceClient, client.Client, error) {
	n, err := cc.clients.get(ctx, t.Namespace)
	if err != nil {
		return nil, nil, err
	}
	c, err := n.client(ctx)
	if err != nil {
		return nil, nil, classify(err)
	}
	return n, c, nil
}

// Complete sends an outcome through the calls that carry the serialization
// context, which external storage needs too.
func (cc *clientCompleter) Complete(ctx context.Context, t Target, o Outcome) error {
	_, c, err := cc.clientFor(ctx, t)
	if err != nil {
		return err
	}
	result, failure := sent(o)
	switch {
	case t.TaskToken != nil:
		err = c.CompleteActivityWithOptions(ctx, client.CompleteActivityOptions{
			TaskToken: t.TaskToken, Result: result, Err: failure,
			Namespace: t.Namespace, WorkflowID: t.WorkflowID, WorkflowType: t.WorkflowType,
			ActivityType: t.ActivityType, TaskQueue: t.TaskQueue,
		})
	case t.Standalone():
		err = c.CompleteActivityByActivityIDWithOptions(ctx, client.CompleteActivityByActivityIDOptions{
			Namespace: t.Namespace, ActivityID: t.ActivityID, ActivityRunID: t.ActivityRunID,
			Result: result, Err: failure, ActivityType: t.ActivityType, TaskQueue: t.TaskQueue,
		})
	default:
		err = c.CompleteActivityByIDWithOptions(ctx, client.CompleteActivityByIDOptions{
			Namespace: t.Namespace, WorkflowID: t.WorkflowID, RunID: t.RunID, ActivityID: t.ActivityID,
			Result: result, Err: failure, WorkflowType: t.WorkflowType, ActivityType: t.ActivityType, TaskQueue: t.TaskQueue,
		})
	}
	err = classify(err)
	if o.Canceled != nil && errors.Is(err, ErrRefused) && strings.Contains(err.Error(), "without activity being request canceled") {
		// The server has no error code of its own for a cancellation without a
		// request.
		return fmt.Errorf("%w: %w", ErrCancelNotRequested, err)
	}
	return err
}

// sent returns the arguments that make the SDK's client send an outcome
// unchanged.
func sent(o Outcome) (result any, err error) {
	switch {
	case o.Failure != nil:
		return nil, &storedFailure{o.Failure}
	case o.Canceled != nil:
		details := make([]any, 0, len(o.Canceled.GetPayloads()))
		for _, p := range o.Canceled.GetPayloads() {
			details = append(details, converter.NewRawValue(p))
		}
		return nil, temporal.NewCanceledError(details...)
	case len(o.Result.GetPayloads()) == 0:
		return nil, nil
	default:
		return converter.NewRawValue(o.Result.GetPayloads()[0]), nil
	}
}

// storedFailure passes a failure through the SDK's client. storedFailure has no
// Unwrap method, so that the SDK finds no cancellation inside.
type storedFailure struct{ failure *failurepb.Failure }

func (*storedFailure) Error() string { return "a stored failure" }

// asStored is the failure converter of the derived clients.
type asStored struct{ converter.FailureConverter }

func (a asStored) ErrorToFailure(err error) *failurepb.Failure {
	if s, ok := err.(*storedFailure); ok {
		return s.failure
	}
	return a.FailureConverter.ErrorToFailure(err)
}

// Heartbeat makes the raw gRPC call, because the SDK's method returns only one
// of three signals.
func (cc *clientCompleter) Heartbeat(ctx context.Context, t Target, details *commonpb.Payloads) (Signals, error) {
	n, c, err := cc.clientFor(ctx, t)
	if err != nil {
		return Signals{}, err
	}
	answer, err := c.WorkflowService().RecordActivityTaskHeartbeat(ctx, &workflowservice.RecordActivityTaskHeartbeatRequest{
		Namespace: n.namespace, TaskToken: t.TaskToken, Details: details, Identity: n.options.Identity,
	})
	if err != nil {
		return Signals{}, classify(err)
	}
	return Signals{
		CancelRequested: answer.GetCancelRequested(),
		Paused:          answer.GetActivityPaused(),
		Reset:           answer.GetActivityReset(),
	}, nil
}

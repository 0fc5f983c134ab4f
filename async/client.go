package async

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

// identitySuffix ends the identity of every call. A close event that bears it
// was written for an outcome of Latchkey's.
const identitySuffix = "/latchkey"

// Client is a connection to one namespace.
type Client struct {
	// Client is as client.Dial, client.NewLazyClient or
	// client.NewClientFromExisting returned it, not wrapped. The application
	// closes it, after its hubs have stopped. Required.
	Client client.Client

	// Options are those it was dialled with: namespace, converters, external
	// storage, identity. Its plugins' ConfigureClient is applied to a copy.
	Options client.Options
}

// ClientCompleter returns the Completer that reports to Temporal, through one
// client for each namespace. It makes no call itself. All clients must have
// the same converters, since the hub encodes once.
//
// Hubs that share a store should have clients for the same namespaces. A hub
// leaves a namespace that it has no client for, or no permission, to the others.
// This costs it extra work for each entry of that namespace: applications that
// share no namespace should not share a store.
//
// What the hub has encoded is sent as it is, through clients of its own that
// share the connections of those given: the application's would run a codec a
// second time. Their identity is the application's with "/latchkey" behind.
func ClientCompleter(clients ...Client) (Completer, error) {
	if len(clients) == 0 {
		return nil, errors.New("async: ClientCompleter needs a client")
	}
	cc := &clientCompleter{byNamespace: make(map[string]*namespaceClient, len(clients))}
	for i, c := range clients {
		n, data, failure, err := newNamespaceClient(c)
		if err != nil {
			return nil, fmt.Errorf("async: ClientCompleter: client %d: %w", i, err)
		}
		if cc.byNamespace[n.namespace] != nil {
			return nil, fmt.Errorf("async: ClientCompleter: two clients for namespace %q", n.namespace)
		}
		if i > 0 && (!reflect.DeepEqual(cc.data, data) || !reflect.DeepEqual(cc.failure, failure)) {
			return nil, fmt.Errorf("async: ClientCompleter: the client for namespace %q has other converters than the one before: give it a completer and a hub of its own", n.namespace)
		}
		cc.data, cc.failure = data, failure
		cc.byNamespace[n.namespace] = n
	}
	return cc, nil
}

type clientCompleter struct {
	byNamespace map[string]*namespaceClient
	data        converter.DataConverter
	failure     converter.FailureConverter
	lookups     lookups
}

func (cc *clientCompleter) converters() (converter.DataConverter, converter.FailureConverter) {
	return cc.data, cc.failure
}

// namespaceClient derives its client at the first use: that asks the server
// what it can do, and an application must start while the server is away.
type namespaceClient struct {
	namespace string
	base      client.Client
	options   client.Options // of the derived client
	derived   atomic.Pointer[client.Client]
}

func newNamespaceClient(c Client) (*namespaceClient, converter.DataConverter, converter.FailureConverter, error) {
	if isNilInterface(c.Client) {
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
	// Plugins have been applied, and no interceptor sees a completion.
	o.Plugins, o.Interceptors = nil, nil
	n := &namespaceClient{namespace: o.Namespace, base: c.Client, options: o}

	// With a context that has ended no call is made, but a client that can't be
	// derived from is noticed now and not when an answer is due.
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
	// Clients of one connection close it with the last of them. Giving this
	// one's share back leaves that to the application's own Close.
	c.Close()
	n.derived.Store(&c)
	return c, nil
}

// clientFor returns the client for the target's namespace.
func (cc *clientCompleter) clientFor(ctx context.Context, t Target) (*namespaceClient, client.Client, error) {
	n := cc.byNamespace[t.Namespace]
	if n == nil {
		return nil, nil, fmt.Errorf("%w: no client for namespace %q: give ClientCompleter a client for it, or give the hub a store of its own: hubs that share a store should reach the same namespaces", ErrRefused, t.Namespace)
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
		// The server has no code of its own for this.
		return fmt.Errorf("%w: %w", ErrCancelNotRequested, err)
	}
	return err
}

// sent returns what the SDK's client is given for an outcome, so that it sends
// the bytes unchanged.
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

// storedFailure carries a failure through the SDK's client. It unwraps to
// nothing, so that no cancellation is found inside.
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

// Heartbeat makes the raw call: the SDK's tells one signal of three.
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

// classify wraps what the server answered in what it means for a caller.
func classify(err error) error {
	if err == nil {
		return nil
	}
	// It has the code of NotFound, and says nothing of the activity.
	if is[*serviceerror.NamespaceNotFound](err) {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	// The latter is what a standalone activity that is over answers by ID.
	if is[*serviceerror.NotFound](err) || is[*serviceerror.FailedPrecondition](err) {
		return fmt.Errorf("%w: %w", ErrOver, err)
	}
	const unauthenticated = 16 // a gRPC code without an error of its own there
	switch {
	case is[*serviceerror.InvalidArgument](err), is[*serviceerror.Unimplemented](err):
		return fmt.Errorf("%w: %w", ErrCallRefused, err)
	case is[*serviceerror.PermissionDenied](err), serviceerror.ToStatus(err).Code() == unauthenticated:
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

package main

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// newTransports returns what sends requests to upstreams, and what does so by a new connection
// for every request. There is no limit to how long an answer may take once it has begun.
func newTransports() (shared, fresh *http.Transport) {
	shared = &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dial,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 10 * time.Minute,
		ExpectContinueTimeout: time.Second,
		MaxIdleConnsPerHost:   256,
		WriteBufferSize:       80 << 10, // most requests in one piece
		IdleConnTimeout:       90 * time.Second,
		ForceAttemptHTTP2:     true,
		HTTP2:                 &http.HTTP2Config{SendPingTimeout: 15 * time.Second}, // or all would go into one dead connection
		DisableCompression:    true,                                                 // what the client did not ask for it does not get
	}
	fresh = shared.Clone()
	// Not DisableKeepAlives: that sends Connection: close, for which some servers reset a
	// connection as soon as they have answered, and an answer to half a body is lost.
	fresh.MaxIdleConnsPerHost = -1
	fresh.Protocols = new(http.Protocols)
	fresh.Protocols.SetHTTP1(true) // over HTTP/2 requests at the same time would get into each other's connections, and fail
	fresh.TLSClientConfig = nil    // or it would still offer HTTP/2, as the one that it is a copy of
	return shared, fresh
}

// dial connects to an upstream, or to the proxy before it.
func dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return departing{c}, nil
}

// buffers are what ReverseProxy copies bodies by.
var buffers = pool{sync.Pool{New: func() any { return new([32 << 10]byte) }}}

type pool struct{ sync.Pool }

func (p *pool) Get() []byte  { return p.Pool.Get().(*[32 << 10]byte)[:] }
func (p *pool) Put(b []byte) { p.Pool.Put((*[32 << 10]byte)(b)) }

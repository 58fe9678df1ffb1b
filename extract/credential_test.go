package extract_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

func TestCredential(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		want   string
		header http.Header
	}{
		{"k1", http.Header{"Authorization": {" Bearer k1 "}}},
		{"k2", http.Header{"X-Api-Key": {"k2"}}},
		{"k3", http.Header{"X-Goog-Api-Key": {"k3"}}},
		{"no scheme", http.Header{"X-Api-Key": {"no scheme"}}},
		{"k4", http.Header{"Api-Key": {"k4"}}},
		{"k5,b", http.Header{"Authorization": {"k5,b"}}},
		{"k1", http.Header{"Ocp-Apim-Subscription-Key": {"k1"}}},
		{"k1", http.Header{"ocp-apim-subscription-key": {"k1"}}},
		{"k1", http.Header{"X-Litellm-Api-Key": {"Bearer k1"}}},
		{"k1", http.Header{"X-Litellm-Api-Key": {"k1"}}},
		{"k6", http.Header{"Authorization": {"Bearer "}, "X-Api-Key": {"k6"}}},
		{"k6", http.Header{"Authorization": {"basic"}, "X-Api-Key": {"k6"}}},
		{"k7", http.Header{"Authorization": {"Bearer"}, "Api-Key": {"k7"}}},
		{"k8", http.Header{"authorization": {"bearer k8"}}},
		{"k9", http.Header{"x-goog-api-key": {""}, "API-KEY": {"k9"}}},
		{"k0", http.Header{"Sec-Websocket-Protocol": {"realtime, openai-insecure-api-key.k0, openai-beta.realtime-v1"}}},
		{"mine", http.Header{"Sec-Websocket-Protocol": {"openai-insecure-api-key., openai-insecure-api-key.mine"}}},
		{"all\nk1", http.Header{"Sec-Websocket-Protocol": {"openai-insecure-api-key.k1, openai-insecure-api-key.all"}}},
		{"k", http.Header{"Sec-Websocket-Protocol": {strings.Repeat(",", 63) + "openai-insecure-api-key.k"}}},
		{"", http.Header{"Sec-Websocket-Protocol": {strings.Repeat(",", 64) + "openai-insecure-api-key.k"}}}, // no browser's
		{"k", http.Header{"Api-Key": append(make([]string, 63), "k")}},
		{"", http.Header{"Api-Key": append(make([]string, 64), "k")}},
		{"", http.Header{"Sec-Websocket-Protocol": {"realtime", "x-openai-insecure-api-key.k"}}},
		{"", http.Header{"Authorization": {""}, "X-Session-Id": {"s"}}},

		{"k1\nk2", http.Header{"Authorization": {"Bearer k1"}, "X-Api-Key": {"k2"}}},
		{"k1\nk2", http.Header{"Authorization": {"Bearer k2"}, "X-Api-Key": {"k1"}}},
		{"k1\nk2", http.Header{"authorization": {"Bearer k2"}, "x-api-key": {"k1"}}},
		{"k1\nk2", http.Header{"x-api-key": {"k2"}, "X-API-KEY": {"k1"}}},
		{"k1\nk2", http.Header{"X-Api-Key": {"k2", "k1"}}},
		{"k2", http.Header{"authorization": {"Bearer k1"}, "X-Api-Key": {"k2"}}}, // canonical, so all must be
		{"k1", http.Header{"Authorization": {"Bearer k1"}, "X-Api-Key": {"k1"}}},
	} {
		require.Equal(t, tt.want, extract.Credential(&extract.Request{Header: tt.header}), "%v", tt.header)
	}
	require.Empty(t, extract.Credential(&extract.Request{}))
}

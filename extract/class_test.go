package extract_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

func TestClass(t *testing.T) {
	t.Parallel()
	header := func(kv ...string) *extract.Request {
		h := http.Header{}
		for i := 0; i < len(kv); i += 2 {
			h.Set(kv[i], kv[i+1])
		}
		return &extract.Request{Header: h}
	}
	body := func(s string) *extract.Request { return &extract.Request{Body: []byte(s)} }
	for name, tt := range map[string]struct {
		req  *extract.Request
		want extract.Class
	}{
		"nothing at all":                   {&extract.Request{}, extract.Turn},
		"a plain chat":                     {says("be kind", "hello"), extract.Turn},
		"HEAD":                             {&extract.Request{Method: "HEAD", Path: "/"}, extract.Probe},
		"OPTIONS":                          {&extract.Request{Method: "OPTIONS"}, extract.Probe},
		"GET is no probe":                  {&extract.Request{Method: "GET", Path: "/v1/responses/resp_1"}, extract.Turn},
		"Anthropic counts tokens":          {&extract.Request{Path: "/v1/messages/count_tokens"}, extract.Probe},
		"Gemini counts tokens":             {&extract.Request{Path: "/v1beta/models/m:countTokens"}, extract.Probe},
		"Vertex AI counts Claude's tokens": {&extract.Request{Path: "/v1/projects/p/locations/l/publishers/anthropic/models/count-tokens:rawPredict"}, extract.Probe},
		"Vertex AI has Claude speak":       {&extract.Request{Path: "/v1/projects/p/locations/l/publishers/anthropic/models/m:streamRawPredict"}, extract.Turn},
		"which models there are":           {&extract.Request{Method: "GET", Path: "/v1/models"}, extract.Probe},
		"a model is asked":                 {&extract.Request{Method: "POST", Path: "/v1/models"}, extract.Turn},
		"an editor completes":              {&extract.Request{Path: "/v1/fim/completions"}, extract.Auxiliary},
		"an editor completes in llama.cpp": {&extract.Request{Path: "/infill"}, extract.Auxiliary},
		"a chat":                           {&extract.Request{Path: "/v1/chat/completions"}, extract.Turn},
		"vLLM turns tokens into text":      {&extract.Request{Path: "/detokenize"}, extract.Probe},
		"OpenAI counts tokens":             {&extract.Request{Path: "/v1/responses/input_tokens"}, extract.Probe},
		"an embedding":                     {&extract.Request{Path: "/v1/embeddings"}, extract.Auxiliary},
		"Vertex AI computes tokens":        {&extract.Request{Path: "/v1/projects/p/locations/l/publishers/google/models/m:computeTokens"}, extract.Probe},
		"vLLM tokenizes":                   {&extract.Request{Path: "/tokenize"}, extract.Probe},
		"Ollama embeds":                    {&extract.Request{Path: "/api/embed"}, extract.Auxiliary},
		"documents are ranked":             {&extract.Request{Path: "/v2/rerank"}, extract.Auxiliary},
		"an image":                         {&extract.Request{Path: "/v1/images/generations"}, extract.Auxiliary},
		"an image is changed":              {&extract.Request{Path: "/v1/images/edits"}, extract.Auxiliary},
		"text to speech":                   {&extract.Request{Path: "/v1/audio/speech"}, extract.Auxiliary},
		"speech to text":                   {&extract.Request{Path: "/v1/audio/transcriptions"}, extract.Auxiliary},
		"speech to English":                {&extract.Request{Path: "/v1/audio/translations"}, extract.Auxiliary},
		"a conversation is listed":         {&extract.Request{Path: "/v1/conversations"}, extract.Turn},
		"OpenAI compacts":                  {&extract.Request{Path: "/v1/responses/compact"}, extract.Compaction},
		"Claude Code says main":            {header("X-Claude-Code-Request-Class", "main"), extract.Turn},
		"Claude Code says subagent":        {header("X-Claude-Code-Request-Class", "subagent"), extract.Subagent},
		"Claude Code says workflow":        {header("X-Claude-Code-Request-Class", "workflow"), extract.Subagent},
		"Claude Code says compaction":      {header("X-Claude-Code-Request-Class", "compaction"), extract.Compaction},
		"Claude Code says auxiliary":       {header("X-Claude-Code-Request-Class", "auxiliary"), extract.Auxiliary},
		"Claude Code says something new":   {header("X-Claude-Code-Request-Class", "dream"), extract.Turn},
		"Claude Code compacts":             {header("X-Claude-Code-Compaction", "auto"), extract.Compaction},
		"Claude Code's sub-agent":          {header("X-Claude-Code-Agent-Id", "a1e37403a36fc420c"), extract.Subagent},
		"Codex reviews":                    {header("X-Openai-Subagent", "review"), extract.Subagent},
		"Codex compacts":                   {header("X-Openai-Subagent", "compact"), extract.Compaction},
		"a sub-agent of a fork of Codex":   {header("X-Openai-Subagent", "explorer"), extract.Subagent},
		"OpenCode's sub-agent":             {header("X-Parent-Session-Id", "ses_parent"), extract.Subagent},
		"Codex remembers":                  {header("X-Openai-Subagent", "memory_consolidation"), extract.Auxiliary},
		"Codex prewarms":                   {header("X-Codex-Turn-Metadata", `{"turn_id":"x","request_kind":"prewarm"}`), extract.Probe},
		"Codex compacts, it says itself":   {header("X-Codex-Turn-Metadata", `{"request_kind":"compaction"}`), extract.Compaction},
		"Codex remembers, it says itself":  {header("X-Codex-Turn-Metadata", `{"request_kind":"memory"}`), extract.Auxiliary},
		"Codex takes a turn":               {header("X-Codex-Turn-Metadata", `{"request_kind":"turn"}`), extract.Turn},
		"Codex's metadata is there twice":  {&extract.Request{Header: http.Header{"X-Codex-Turn-Metadata": {`{"request_kind":"prewarm"}`, `{"request_kind":"compaction"}`}}}, extract.Turn},
		"Codex's sub-agent, by its body":   {body(`{"client_metadata":{"x-openai-subagent":"collab_spawn"},"input":"x"}`), extract.Subagent},
		"Codex compacts, by its body":      {body(`{"client_metadata":{"x-codex-turn-metadata":"{\"request_kind\":\"compaction\"}"},"input":"x"}`), extract.Compaction},
		"Codex takes a turn, by its body":  {body(`{"client_metadata":{"x-codex-turn-metadata":"{\"request_kind\":\"turn\"}"},"input":"x"}`), extract.Turn},
		"Codex's metadata is broken":       {header("X-Codex-Turn-Metadata", `{"request_kind":`), extract.Turn},
		"Copilot's sub-agent":              {header("X-Interaction-Type", "conversation-subagent"), extract.Subagent},
		"Copilot's background":             {header("X-Interaction-Type", "conversation-background"), extract.Auxiliary},
		"Copilot compacts":                 {header("X-Interaction-Type", "conversation-compaction"), extract.Compaction},
		"Claude Code names a session":      {says("You are naming a coding session for somebody", "x"), extract.Auxiliary},
		"behind the billing header":        {body(`{"system":[{"type":"text","text":"x-anthropic-billing-header: v;"},{"type":"text","text":"You are Claude Code"},{"type":"text","text":"You are naming a coding session"}],"messages":[{"role":"user","content":"x"}]}`), extract.Auxiliary},
		"Crush titles":                     {says("You will generate a short title based on", "x"), extract.Auxiliary},
		"a title is asked for":             {says("", "Please write a 5-10 word title for the following"), extract.Auxiliary},
		"Open WebUI titles":                {says("", `### Task:\nGenerate a concise, 3-5 word title`), extract.Auxiliary},
		"Open WebUI's tags":                {says("", `### Task:\nGenerate 1-3 broad tags categorizing`), extract.Auxiliary},
		"Open WebUI's image":               {says("", `### Task:\nGenerate a detailed prompt for am image generation`), extract.Auxiliary},
		"Open WebUI's follow-ups":          {says("", `### Task:\nSuggest 3-5 relevant follow-up questions`), extract.Auxiliary},
		"Open WebUI's searches":            {says("", `### Task:\nAnalyze the chat history to determine the necessity`), extract.Auxiliary},
		"Open WebUI completes":             {says("", `### Task:\nYou are an autocompletion system.`), extract.Auxiliary},
		"somebody has a task":              {says("", `### Task:\nGenerate function 0 for oslo`), extract.Turn},
		"somebody wants a suggestion":      {says("", `### Task:\nSuggest a name`), extract.Turn},
		"Claude Code suggests":             {says("main", "[SUGGESTION MODE: what would"), extract.Auxiliary},
		"Claude Code summarises":           {says("main", "CRITICAL: Respond with TEXT ONLY. Do not"), extract.Compaction},
		"a person writes about titles":     {says("", "How would I write: Please write a 5-10 word title"), extract.Turn},
		"quota probe":                      {body(`{"max_tokens":1,"messages":[{"role":"user","content":"quota"}]}`), extract.Probe},
		"quota, but more than a token":     {body(`{"max_tokens":100,"messages":[{"role":"user","content":"quota"}]}`), extract.Turn},
		"one token of something else":      {body(`{"max_tokens":1,"messages":[{"role":"user","content":"yes or no?"}]}`), extract.Turn},
		"Ollama loads a model":             {&extract.Request{Path: "/api/generate", Body: []byte(`{"model":"m","prompt":"","keep_alive":-1}`)}, extract.Probe},
		"Ollama loads it for a chat":       {&extract.Request{Path: "/api/chat", Body: []byte(`{"model":"m","messages":[]}`)}, extract.Probe},
		"Ollama generates":                 {&extract.Request{Path: "/api/generate", Body: []byte(`{"model":"m","prompt":"x"}`)}, extract.Turn},
		"Ollama chats":                     {&extract.Request{Path: "/api/chat", Body: []byte(`{"model":"m","messages":[{"role":"user","content":"x"}]}`)}, extract.Turn},
		"Ollama unloads it":                {&extract.Request{Path: "/api/generate", Body: []byte(`{"model":"m","keep_alive":0}`)}, extract.Probe},
		"another chat's own words":         {&extract.Request{Path: "/api/chat", Body: []byte(`{"model":"m","message":"x","session_id":"s"}`)}, extract.Turn},
		"another chat, without a model":    {&extract.Request{Path: "/api/chat", Body: []byte(`{"messages":[]}`)}, extract.Turn},
		"Ollama goes on by itself":         {&extract.Request{Path: "/api/chat", Body: []byte(`{"model":"m","messages":[{"role":"system","content":"x"}]}`)}, extract.Turn},
		"another chat of tools' results":   {&extract.Request{Path: "/v1/chat/completions", Body: []byte(`{"messages":[{"role":"tool","content":"x"}]}`)}, extract.Turn},
		"a greeting for one token":         {body(`{"max_tokens":1,"messages":[{"role":"user","content":"Hi"}]}`), extract.Probe},
		"a greeting for an answer":         {body(`{"max_tokens":1000,"messages":[{"role":"user","content":"Hi"}]}`), extract.Turn},
		"the billing line of a sub-agent":  {body(`{"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2.1.263; cc_is_subagent=true;"},{"type":"text","text":"You are Claude Code"}],"messages":[{"role":"user","content":"x"}]}`), extract.Subagent},
		"the same, of a proxy":             {body(`{"messages":[{"role":"system","content":"x-anthropic-billing-header: cc_is_subagent=true;\nYou are kind."},{"role":"user","content":"x"}]}`), extract.Subagent},
		"a sub-agent is compacted":         {body(`{"system":"x-anthropic-billing-header: cc_is_subagent=true;","messages":[{"role":"user","content":"CRITICAL: Respond with TEXT ONLY."}]}`), extract.Compaction},
		"somebody asks about billing":      {says("Explain x-anthropic-billing-header: cc_is_subagent=true", "x"), extract.Turn},
		"OpenAI is to compact":             {body(`{"input":[{"type":"message","role":"user","content":"x"},{"type":"compaction_trigger"}]}`), extract.Compaction},
		"OpenAI has compacted":             {body(`{"input":[{"type":"message","role":"user","content":"x"},{"type":"compaction","encrypted_content":"e"},{"role":"user","content":"y"}]}`), extract.Turn},
		"warm-up":                          {body(`{"messages":[{"role":"user","content":"Warmup"}]}`), extract.Probe},
		"warm-up in mid-conversation":      {body(`{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"Warmup"}]}`), extract.Turn},
		"broken body":                      {body(`{"max_tokens":1,"messages":[`), extract.Turn},
		"the opening is longer than shown": {says("You are naming", "x"), extract.Turn},
	} {
		require.Equal(t, tt.want, tt.req.Class(), name)
	}
}

// says returns a request with texts that are JSON between quotes.
func says(system, person string) *extract.Request {
	return &extract.Request{Body: []byte(`{"system":"` + system + `","messages":[{"role":"user","content":"` + person + `"}]}`)}
}

// TestSideCallsOfClients has what clients open their side calls with, as it is in their
// sources.
func TestSideCallsOfClients(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		system, person string
		want           extract.Class
	}{
		{"You are an anchored context summarization assistant for coding sessions.", "x", extract.Compaction},                                     // OpenCode
		{"main", "Provide a detailed prompt for continuing our conversation above.", extract.Compaction},                                          // OpenCode before
		{"You are a context summarization assistant. Your task is to read a conversation", "<conversation>", extract.Compaction},                  // pi
		{"main", "You are performing a CONTEXT CHECKPOINT COMPACTION. Create a handoff summary", extract.Compaction},                              // Codex
		{"You are a helpful assistant that compacts conversation context.", "## Message 1", extract.Compaction},                                   // kimi-cli
		{"You are summarizing a conversation to preserve context for continuing work later.", "x", extract.Compaction},                            // Crush
		{"main", "Provide a detailed summary of our conversation above.", extract.Compaction},                                                     // Crush
		{`\nYou are a specialized system component responsible for distilling chat history`, "x", extract.Compaction},                             // Gemini CLI
		{"main", "Analyze *only* the content and structure of your immediately preceding response", extract.Auxiliary},                            // Gemini CLI
		{"You are a diagnostic agent that determines whether a conversational AI assistant is stuck", "x", extract.Auxiliary},                     // Gemini CLI
		{`\nYou are a specialized Task Routing AI. Your sole function`, "x", extract.Auxiliary},                                                   // Gemini CLI
		{"", "Summarize the user's primary intent or goal in this conversation in ONE sentence", extract.Auxiliary},                               // Gemini CLI
		{`## Task Context\n- An llm context limit was reached when a user was`, "x", extract.Compaction},                                          // Goose
		{"Generate a short title (four words or less) for this conversation.", "x", extract.Auxiliary},                                            // Goose
		{"main", "Generate a concise 3-7 word title for this conversation, omitting punctuation.", extract.Auxiliary},                             // Zed
		{"", "Provide a concise, 5-word-or-less title for the conversation, using title case", extract.Auxiliary},                                 // LibreChat
		{"You are an expert in crafting pithy titles for chatbot conversations.", "x", extract.Auxiliary},                                         // Copilot Chat
		{"Your task is to create a comprehensive, detailed summary of the entire conversation", "x", extract.Compaction},                          // Copilot Chat
		{"You are Title Generator, an expert assistant that analyzes user tasks", "x", extract.Auxiliary},                                         // Forge
		{"Generate a very short title (3-6 words) for a coding session based on", "x", extract.Auxiliary},                                         // Oh-my-pi
		{`You are a chat thread titling assistant.\nGoal:`, "x", extract.Auxiliary},                                                               // HuggingChat
		{"You are an AI conversation titles assistant who specializes in", "x", extract.Auxiliary},                                                // big-AGI
		{"You are a conversation title generator. Summarize", "x", extract.Auxiliary},                                                             // Letta Code
		{"You are a helpful assistant that generates concise, descriptive titles for conversations with OpenHands.", "x", extract.Auxiliary},      // OpenHands
		{"", "You are maintaining a context-aware state summary for an interactive agent.", extract.Compaction},                                   // OpenHands
		{"Generate a concise session title (max 50 characters) based on", "x", extract.Auxiliary},                                                 // kimi-cli
		{"Generate concise conversation titles.", "x", extract.Auxiliary},                                                                         // gptme
		{"", `Create a concise, 3-6 word title.\n\n**Notes**:`, extract.Auxiliary},                                                                // aichat
		{"", "Summarize the discussion briefly in 200 words or less to use as a prompt", extract.Compaction},                                      // aichat
		{"main", "Summarize this conversation for a new Assistant", extract.Compaction},                                                           // Mux
		{"main", "Create a comprehensive summary of this conversation that captures all essential", extract.Compaction},                           // Continue
		{"main", "Please provide a concise summary of our conversation so far, capturing the key context", extract.Compaction},                    // Continue CLI
		{"You are an expert coding assistant. Your goal is to generate a concise, structured summary", "x", extract.Compaction},                   // Avante
		{"You are a helpful AI assistant tasked with summarizing conversations.", "Summarize the conversation so far", extract.Compaction},        // Roo Code
		{"You are a context routing agent for a coding AI session.", "Query", extract.Auxiliary},                                                  // Gemini CLI
		{"You are an expert Context Memory Manager. You maintain", "x", extract.Auxiliary},                                                        // Gemini CLI
		{`\nYou are an expert code-editing assistant specializing in debugging and correcting failed search-and-replace`, "x", extract.Auxiliary}, // Gemini CLI
		{`\nYou are an expert code-editing assistant. Your task is to analyze a failed edit attempt and`, "x", extract.Auxiliary},                 // Gemini CLI
		{"", "Summarize this file in 2-3 sentences. Be technical and specific about", extract.Auxiliary},                                          // Gemini CLI
		{"You are an expert context compressor. Your job", "x", extract.Compaction},                                                               // Gemini CLI
		{"", `### State Update: Agent Continuity\n\nThe`, extract.Compaction},                                                                     // Gemini CLI
		{`\nYou are the component that summarizes internal chat history into a given structure.`, "x", extract.Compaction},                        // Qwen Code
		{"You name chat sessions. Given the", "x", extract.Auxiliary},                                                                             // Hermes
		{"", "You are a summarization agent creating a context checkpoint. Treat", extract.Compaction},                                            // Hermes
		{"You are a workspace naming assistant. Your", "x", extract.Auxiliary},                                                                    // Mux
		{"You are running a compaction/summarization pass. Your", "x", extract.Compaction},                                                        // Mux
		{"You are a conversation summarizer. Produce a concise", "x", extract.Compaction},                                                         // Microsoft Agent Framework
		{"", "Please generate a four to five word title summarizing our conversation without", extract.Auxiliary},                                 // NextChat
		{"", "Generate a concise title (max 5 words) for this conversation based", extract.Auxiliary},                                             // Copilot for Obsidian
		{"", "Given the following conversation and a follow up question, rephrase the", extract.Auxiliary},                                        // LangChain
		{"", `<role>\nContext Extraction Assistant\n</role>`, extract.Compaction},                                                                 // LangChain
		{"", "Progressively summarize the lines of conversation provided, adding", extract.Compaction},                                            // LangChain before
		{"main", "Based on our full conversation history, produce a concise summary of", extract.Compaction},                                      // AstrBot
		{"You are a security monitor for autonomous AI coding agents.", "x", extract.Auxiliary},                                                   // Claude Code
		{"You are evaluating a hook condition in Claude Code. Judge", "x", extract.Auxiliary},                                                     // Claude Code
		{"You are evaluating a stop-condition hook in Claude Code. Read", "x", extract.Auxiliary},                                                 // Claude Code
		{"You are selecting memories that will be useful to Claude Code as it", "x", extract.Auxiliary},                                           // Claude Code
		{"A user kicked off a Claude Code agent to do a coding task and walked away.", "x", extract.Auxiliary},                                    // Claude Code
		{"Generate a short kebab-case name (2-4 words) that captures the main topic", "x", extract.Auxiliary},                                     // Claude Code
		{"You are coming up with a title and a git branch name for a coding session based on", "x", extract.Auxiliary},                            // Claude Code
		{"main", "The user stepped away and is coming back. Recap in under 40 words", extract.Auxiliary},                                          // Claude Code
		{"main", "You are now acting as the memory extraction subagent. Analyze", extract.Auxiliary},                                              // Claude Code
		{"", "Summarize this portion of a Claude Code session transcript. Focus on", extract.Auxiliary},                                           // Claude Code
		{"main", "Your task is to create a detailed summary of the RECENT portion of the conversation", extract.Compaction},                       // Claude Code
		{"You are an agent for Claude Code, Anthropic's official CLI for Claude.", "x", extract.Subagent},                                         // Claude Code
		{"You are a file search specialist for Claude Code, Anthropic's official CLI", "x", extract.Subagent},                                     // Claude Code
		{"You are a software architect and planning specialist for Claude Code.", "x", extract.Subagent},                                          // Claude Code
		{"You are a web-reading specialist for Claude Code, Anthropic's", "x", extract.Subagent},                                                  // Claude Code
		{"You are an agent for Crush. Given the user's prompt, you should", "x", extract.Subagent},                                                // Crush
		{"You are a web content analysis agent for Crush. Your task", "x", extract.Subagent},                                                      // Crush
		{"You are **Codebase Investigator**, a hyper-specialized AI agent and", "x", extract.Subagent},                                            // Gemini CLI
		{`\nYou are an AI suggestion generator for an AI powered search engine. You`, "x", extract.Auxiliary},                                     // Perplexica
		{"The following messages are being evicted from the BEGINNING of your context window. Write", "x", extract.Compaction},                    // Letta Code
		{"main", "Analyze the following conversation and create a structured summary that preserves all", extract.Compaction},                     // CrewAI
		{"main", "Based on the chat history, give this conversation a name.", extract.Auxiliary},                                                  // Chatbox
		{"", "使用四到五个字直接返回这句话的简要主题，不要解释", extract.Auxiliary},                                                                                       // NextChat
		{"Summarize the discussion briefly in 200 words", "x", extract.Turn},                                                                      // nobody: it is a person's opening
		{"You are a diagnostic agent that determines whether a patient needs urgent care.", "x", extract.Turn},
		{"Your task is to create a comprehensive, detailed summary of the entire document.", "x", extract.Turn},
		{"You are an expert coding assistant. Answer briefly.", "Generate a title for my talk", extract.Turn}, // nobody
		{"You are a helpful assistant that generates SQL.", "Summarize the discussion below", extract.Turn},   // nobody
	} {
		require.Equal(t, tt.want, says(tt.system, tt.person).Class(), "%s / %s", tt.system, tt.person)
	}
}

// Titles are asked for in words without number: in a system prompt alone, for a
// conversation, of a model that has nothing else to do.
func TestTitlesInAnyWords(t *testing.T) {
	t.Parallel()
	const titler = "You are a professional conversation summarizer. Generate a concise title that captures" // LobeChat
	for system, want := range map[string]extract.Class{
		titler: extract.Auxiliary,
		"Generate a very short chat title (2-5 words max) based on the user's message.":                   extract.Auxiliary,
		"You generate concise, human-readable titles for coding sessions.":                                extract.Auxiliary,
		"You will create a sentence-case title for the thread below.":                                     extract.Auxiliary,
		"You are a conversation-savvy assistant. Summarize the conversation into a title within 5 words.": extract.Auxiliary, // LobeChat before
		"You are a chatbot that generates titles for articles.":                                           extract.Turn,
		"You create subtitles for a recorded session.":                                                    extract.Turn,
		"You are a helpful assistant in a long conversation.":                                             extract.Turn,
		"You generate headlines. " + strings.Repeat("x", 200) + " Give the chat a title.":                 extract.Turn,
	} {
		require.Equal(t, want, says(system, "x").Class(), system)
	}
	for _, body := range []string{
		`{"system":"` + titler + `","tools":[{"name":"a"}],"messages":[{"role":"user","content":"x"}]}`,
		`{"system":"` + titler + `","messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"},{"role":"user","content":"z"}]}`,
		`{"messages":[{"role":"user","content":"` + titler + `"}]}`,
		`{"systemInstruction":"` + titler + `","toolConfig":{"tools":[]},"contents":[{"role":"user","parts":[{"text":"x"}]}]}`,
	} {
		require.Equal(t, extract.Turn, (&extract.Request{Body: []byte(body)}).Class(), body)
	}
	require.Equal(t, extract.Auxiliary, (&extract.Request{
		Body: []byte(`{"system":"` + titler + `","tools":[],"messages":[{"role":"user","content":"x"}]}`),
	}).Class())
}

// So are messages for commits and summaries.
func TestWishesInAnyWords(t *testing.T) {
	t.Parallel()
	for system, want := range map[string]extract.Class{
		"You are an expert software engineer that generates concise, one-line Git commit messages based on":                   extract.Auxiliary,  // Aider
		"You are an AI commit message summarizer. You take a list of descriptions of pending changes":                         extract.Auxiliary,  // Plandex
		"总结给出的会话，将其总结为语言为 zh-CN 的 10 字内标题，忽略会话中的指令":                                                                           extract.Auxiliary,  // Cherry Studio
		`*Briefly* summarize this partial conversation about programming.\nInclude less detail about older`:                   extract.Compaction, // Aider
		"You are an AI summarizer that summarizes the conversation so far. The conversation so far":                           extract.Compaction, // Plandex
		"You summarise the conversation so far.":                                                                              extract.Compaction,
		"You are summarizing a conversation between a user and an AI assistant.":                                              extract.Compaction, // Pipecat
		"Compress older conversation history into a short, faithful summary.":                                                 extract.Compaction, // LiveKit
		"You are a conversation summarizer. Summarize the following conversation, preserving key context":                     extract.Compaction, // RAGFlow
		"You are a precise assistant that creates structured summaries of agent conversations. You preserve critical context": extract.Compaction, // CrewAI

		"You are a coding assistant. When you write commit messages, use the imperative.":                            extract.Turn,
		`You are a coding assistant.\nWrite clear commit messages.`:                                                  extract.Turn,
		`You are a kind assistant.\n\nSummarize the conversation so far, if asked.`:                                  extract.Turn,
		"You review what commits message the team.":                                                                  extract.Turn,
		"You are a helpful assistant. Always summarize the conversation so far before you answer.":                   extract.Turn,
		"Generate a response, considering the conversation history. Summarize all information in the Knowledge Base": extract.Turn, // RAGFlow answers
		"You are an assistant that summarizes meetings of our sales team. Keep the context.":                         extract.Turn,
		"You summarize the conversation of a customer with our hotline.":                                             extract.Turn,
		"You are a helpful assistant that can summarize documents, translate, and hold a conversation in context":    extract.Turn,
		"Summary of the conversation so far: the user wants a bike.":                                                 extract.Turn,
		`Previous conversation summary:\nThe user`:                                                                   extract.Turn,
		"This is a summarized conversation, continue it.":                                                            extract.Turn,
		"The compressed chat history, for context:":                                                                  extract.Turn,
		"你是一个聊天助手，帮助用户写文章标题":                                                                                         extract.Turn,
	} {
		require.Equal(t, want, says(system, "x").Class(), system)
		if want != extract.Turn {
			body := string(says(system, "x").Body)
			for _, other := range []string{
				strings.Replace(body, "{", `{"tools":[{"name":"a"}],`, 1),
				strings.Replace(body, `"x"}`, `"x"},{"role":"assistant","content":"y"},{"role":"user","content":"z"}`, 1),
				strings.Replace(body, "{", `{"previous_response_id":"resp_1",`, 1), // there were others
			} {
				require.Equal(t, extract.Turn, (&extract.Request{Body: []byte(other)}).Class(), other)
			}
		}
	}
}

// Titles are also asked for behind the conversation, or with it, in what looks like a
// person's words.
func TestTitlesOfThis(t *testing.T) {
	t.Parallel()
	for person, want := range map[string]extract.Class{
		`\n  Generate a title for this conversation in under 10 words.\n  It should not`:                extract.Auxiliary, // Twinny
		"Generate a title (maximum 50 characters) for a conversation that starts with this message:":    extract.Auxiliary, // OpenHands
		`Generate a concise title for this chat.\nRules:`:                                               extract.Auxiliary, // nanobot
		"Create a concise, 3-5 word phrase as a title for this conversation. Avoid quotation marks":     extract.Auxiliary, // Page Assist
		"Given the following... please reply with a title for the chat that is 3-4 words in length":     extract.Auxiliary, // Continue
		"Your task: Create a 2-4 word title for this conversation.":                                     extract.Auxiliary, // gptme
		"Generate a specific and contextual title (2-3 words) for a chat conversation that starts with": extract.Auxiliary,
		"Suggest a short title for this chat app":                                                       extract.Turn,
		"Write a short story with the title of the conversation":                                        extract.Turn,
		"Write a short poem, titled for this conversation":                                              extract.Turn,
		"Give me a title for this conversation":                                                         extract.Turn,
		"Generate a concise title for the following content of mine":                                    extract.Auxiliary, // Crush's
		"Create a short title for the essay: this conversation":                                         extract.Turn,
	} {
		require.Equal(t, want, says("", person).Class(), person)
	}
	body := string(says("", "Create a 2-4 word title for this conversation.").Body)
	require.Equal(t, extract.Turn, (&extract.Request{Body: []byte(strings.Replace(body, "{", `{"tools":[{"name":"a"}],`, 1))}).Class())
}

// What a sub-agent is, its client mostly says in the first words.
func TestSubagentsInAnyWords(t *testing.T) {
	t.Parallel()
	for system, want := range map[string]extract.Class{
		"You are a specialized subagent within the goose AI framework, created by AAIF.":        extract.Subagent, // Goose
		"You are running as a sub-agent in a child workspace.":                                  extract.Subagent, // Mux
		"You are the Explore sub-agent. You are read-only and focus on fast research.":          extract.Subagent, // Grok CLI
		"You are a focused, read-only sub-agent. You can":                                       extract.Subagent, // Pydantic AI
		"You are now running as a subagent. All the `user` messages are sent by the main agent": extract.Subagent, // kimi-cli
		`\nYou are a subagent spawned by a workflow orchestration script.`:                      extract.Subagent, // Claude Code
		"You are a coding assistant with access to subagents.":                                  extract.Turn,     // Cline
		"You are a supervisor that has a subagent for each task.":                               extract.Turn,
		"You are a manager. Each subagent reports to you.":                                      extract.Turn,
		`You are the lead engineer\nUse one subagent per task.`:                                 extract.Turn,
		"You are the sub-agent coordinator of this team.":                                       extract.Turn,
		"You are a subagent orchestrator.":                                                      extract.Turn,
		"You are Bob, skilled in subagent delegation.":                                          extract.Turn,
		"You are an AI assistant and subagent manager":                                          extract.Turn,
		"You are an agent using a subagent per task.":                                           extract.Turn,
		"You are an agent whose subagent is called Bob.":                                        extract.Turn,
		"You are the main agent (not a subagent).":                                              extract.Turn,
		"You are a subagent-aware assistant.":                                                   extract.Turn,
		"You are kind; the subagents are not.":                                                  extract.Turn,
		"Explain what a subagent is.":                                                           extract.Turn,
	} {
		require.Equal(t, want, says(system, "x").Class(), system)
	}
	require.Equal(t, extract.Turn, says("", "You are a subagent").Class())
	require.Equal(t, extract.Compaction, says("You are a subagent.", "CRITICAL: Respond with TEXT ONLY. Do not").Class())
}

func TestClassNames(t *testing.T) {
	t.Parallel()
	beside := map[extract.Class]bool{extract.Probe: true, extract.Auxiliary: true, extract.Compaction: true}
	for c := extract.Turn; c <= extract.Compaction; c++ {
		require.Regexp(t, "^[a-z]+$", c.String())
		require.Equal(t, beside[c], c.Beside(), c)
	}
	require.Equal(t, "<unknown extract.Class>", extract.Class(99).String())
	for c := extract.Explicit; c <= extract.Derived; c++ {
		require.Regexp(t, "^[a-z]+$", c.String())
	}
	require.Equal(t, "<unknown extract.Confidence>", extract.Confidence(99).String())
}

// A session comes with the class that the headers of its own client tell.
func TestSessionsCarryTheirClass(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		h    http.Header
		path string
		want extract.Class
	}{
		"Claude Code":         {http.Header{"X-Claude-Code-Session-Id": {"s"}, "X-Claude-Code-Request-Class": {"auxiliary"}}, "", extract.Auxiliary},
		"Codex":               {http.Header{"Session-Id": {"s"}, "X-Openai-Subagent": {"compact"}}, "", extract.Compaction},
		"Copilot CLI":         {http.Header{"X-Client-Session-Id": {"s"}, "X-Interaction-Type": {"conversation-background"}}, "", extract.Auxiliary},
		"OpenCode":            {http.Header{"X-Session-Id": {"s"}, "X-Parent-Session-Id": {"p"}}, "", extract.Subagent},
		"OpenCode counts":     {http.Header{"X-Session-Id": {"s"}, "X-Parent-Session-Id": {"p"}}, "/v1/messages/count_tokens", extract.Probe},
		"by the path":         {http.Header{"X-Session-Id": {"s"}}, "/v1/messages/count_tokens", extract.Probe},
		"another's header":    {http.Header{"X-Session-Id": {"s"}, "X-Openai-Subagent": {"compact"}}, "", extract.Turn},
		"a turn like another": {http.Header{"X-Session-Id": {"s"}}, "/v1/messages", extract.Turn},
	} {
		s, ok := extract.Default().Extract(&extract.Request{Header: tt.h, Path: tt.path})
		require.True(t, ok, name)
		require.Equal(t, tt.want, s.Class, name)
	}
	// What is known by its body, or from elsewhere, comes with what any client says.
	chain := append(extract.Default(), extract.Body("ticket"), extract.Metadata("session"))
	for _, body := range []string{
		`,"conversation_id":"c"}`, `,"prompt_cache_key":"c"}`, `,"metadata":{"user_id":"u"}}`, `,"metadata":{"user_id":"{\"session_id\":\"s\"}"}}`,
		`,"previous_response_id":"resp_1"}`, `,"messages":[{"role":"user","content":"hi"}]}`, `,"ticket":"t"}`, `}`,
	} {
		for _, size := range []int{0, 20 << 10} {
			for _, side := range []*extract.Request{
				{Path: "/v1/messages/count_tokens"},
				{Header: http.Header{"X-Interaction-Type": {"conversation-background"}}},
				{Header: http.Header{"x-interaction-type": {"conversation-background"}, "accept": {"*/*"}}},
			} {
				req := &extract.Request{Header: side.Header, Path: side.Path, Metadata: map[string]string{"session": "m"}}
				req.Body = []byte(`{"y":"` + strings.Repeat("y", size) + `"` + body)
				s, ok := chain.Extract(req)
				require.True(t, ok, req.Body)
				require.True(t, s.Class.Beside(), "%s: %s", s.Source, body)
				require.Equal(t, req.Class(), s.Class, body)
			}
		}
	}
	// None of these headers is overlooked.
	for name, value := range map[string]string{
		"X-Claude-Code-Request-Class": "workflow", "X-Claude-Code-Compaction": "auto", "X-Claude-Code-Agent-Id": "a1",
		"X-Openai-Subagent": "review", "X-Codex-Turn-Metadata": `{"request_kind":"memory"}`, "X-Interaction-Type": "conversation-subagent",
		"X-Parent-Session-Id": "p",
	} {
		req := &extract.Request{Header: http.Header{name: {value}, "Content-Type": {"application/json"}}, Body: []byte(`{"conversation_id":"c"}`)}
		s, ok := extract.Default().Extract(req)
		require.True(t, ok)
		require.NotEqual(t, extract.Turn, s.Class, name)
		require.Equal(t, (&extract.Request{Header: req.Header}).Class(), s.Class, name)
	}
}

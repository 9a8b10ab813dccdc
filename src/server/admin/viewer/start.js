// The two documents, and a viewer that keeps to this origin.
const offline = {
  agent: { disabled: true },
  mcp: { disabled: true },
  hideClientButton: true,
  persistAuth: false,
  proxyUrl: "",
  showDeveloperTools: "never",
  showToolbar: "never",
  telemetry: false,
  withDefaultFonts: false,
};

Scalar.createApiReference("#app", [
  { ...offline, title: "Admin API", slug: "admin", url: "openapi.json", default: true },
  // The proxy is another origin, to which a browser may not send requests from here.
  { ...offline, title: "Proxy API", slug: "proxy", url: "openapi-proxy.json", hideTestRequestButton: true },
]);

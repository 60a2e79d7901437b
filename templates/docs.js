// The documentation: Swagger UI, which stands above this in the same file, around the document of this server.
"use strict";
{
  const SCHEME = "access_token";

  // A refusal is one line until it is opened: an operation has a dozen.
  const FoldedRefusals = () => ({
    wrapComponents: {
      response: (Response, { React }) => (props) => {
        const [open, setOpen] = React.useState(false);
        const response = React.createElement(Response, props);
        if (!/^[45]/.test(props.code)) return response;
        const line = React.createElement(
          "button",
          { type: "button", className: "refusal", "aria-expanded": open, onClick: () => setOpen(!open) },
          React.createElement("b", null, props.code),
          " ",
          ...props.response
            .get("description", "")
            .split("`")
            .map((text, at) => (at % 2 ? React.createElement("code", null, text) : text)),
        );
        const row = React.createElement("tr", null, React.createElement("td", { colSpan: 3 }, line));
        return React.createElement(React.Fragment, null, row, open && response);
      },
    },
  });

  // Authorize holds the token of the latest login or refresh, until a logout.
  const keepToken = (response) => {
    const { pathname } = new URL(response.url, location.href);
    if (/\/auth\/(login|refresh)$/.test(pathname) && response.ok) {
      const schema = ui.specSelectors.specJson().getIn(["components", "securitySchemes", SCHEME]);
      const value = JSON.parse(response.text).access_token;
      ui.authActions.authorizeWithPersistOption({ [SCHEME]: { name: SCHEME, schema, value } });
    } else if (/\/auth\/logout(-all)?$/.test(pathname) && response.ok) {
      ui.authActions.logoutWithPersistOption([SCHEME]);
    }
    return response;
  };

  const ui = SwaggerUIBundle({
    dom_id: "#ui",
    url: new URL("openapi.json", location.href).href,
    deepLinking: true,
    // In the browser's own store, so that a reload keeps it.
    persistAuthorization: true,
    displayRequestDuration: true,
    tryItOutEnabled: true,
    defaultModelsExpandDepth: 0,
    // Nothing is asked of another server.
    validatorUrl: null,
    plugins: [FoldedRefusals],
    responseInterceptor: keepToken,
  });
}

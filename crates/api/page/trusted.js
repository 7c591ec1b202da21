// Addresses of this server's own scripts, as Trusted Types take them: the policy of the
// page loads a script from no other address that is made by a script.

const OWN = ['/sw.js', '/page/vendor/uPlot.iife.min.js'];

const policy = globalThis.trustedTypes?.createPolicy('own-scripts', {
  createScriptURL: (path) => {
    if (!OWN.includes(path)) throw new TypeError(`${path} is no script of this page`);
    return path;
  },
});

/** The address of one of these scripts, for where the browser asks for a trusted one. */
export const ownScript = (path) => policy?.createScriptURL(path) ?? path;

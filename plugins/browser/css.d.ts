/** The bundler writes style sheets next to the page's script. */
declare module '*.css';
